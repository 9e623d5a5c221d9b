"""``tracing-config validate FILE``: would this strategies file be served, and what is not as its author thinks?"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from sampling.strategies_file import StrategiesFile, StrategiesFileError
from sampling.strategies_file_reader import read
from server.strategies_file import load_bytes


def validate(
    file: Annotated[Path, typer.Argument(help="A strategies file in Jaeger's format; - is the standard input.")],
    strict: Annotated[bool, typer.Option("--strict", help="Fail for warnings too.")] = False,
) -> None:
    """Check a strategies file: print each problem and warning with its place in the document.

    Ends with 0 when Jaeger and this server would serve the file, and with 1 when not.
    """
    try:
        found = read(sys.stdin.buffer.read() if str(file) == "-" else load_bytes(file))
    except StrategiesFileError as error:
        _print(f"error: {error}", "bold red")
        raise typer.Exit(1) from None
    for warning in found.warnings:
        _print(f"warning: {warning}", "yellow")
    if found.warning_count > len(found.warnings):
        _print(f"warning: and {found.warning_count - len(found.warnings)} more", "yellow")
    failed = strict and found.warning_count > 0
    _print(_summary(found), "bold red" if failed else "green")
    if failed:
        raise typer.Exit(1)


def _summary(file: StrategiesFile) -> str:
    services = _counted(len(file.services), "service")
    default = "no default" if file.default is None else "a default"
    return f"{services}, {default}, {_counted(file.warning_count, 'warning')}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _print(line: str, style: str) -> None:
    if not sys.stdout.isatty():
        print(line)
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.text import Text  # noqa: PLC0415

    Console(soft_wrap=True).print(Text(line, style))

"""``tracing-config validate``: is a file right, or, without one, is the server?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from server.cli.client import DEFAULT_URL, Server, Url
from server.cli.output import AsJson, counted, print_json, say

SECONDS = 120.0
"""The server compares everything that it has."""

SHOWN = 20


def validate(
    file: Annotated[
        Path | None,
        typer.Argument(help="A strategies file in Jaeger's format, or a file or folder for `apply`; - is the standard input."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail for warnings too.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Check a file, or the server where none is given.

    The server compares store, log, copies and what is served.

    Prints each problem and warning with its place. Ends with 0 when Jaeger and this server would serve the strategies file,
    `apply` would take the configuration, or all is well with the server, and with 1 when not. The server asks for the role
    admin.
    """
    if file is None:
        _validate_server(Server(url), strict=strict, as_json=as_json)
        return
    from server.cli.file_check import check_file  # noqa: PLC0415 - its readers take long to start

    found = check_file(file)
    failed = not found.valid or (strict and found.warning_count > 0)
    if as_json:
        print_json(found.as_json())
    else:
        for problem in found.problems:
            say(f"error: {problem}", "bold red")
        for warning in found.warnings:
            say(f"warning: {warning}", "yellow")
        if found.warning_count > len(found.warnings):
            say(f"warning: and {found.warning_count - len(found.warnings)} more", "yellow")
        if found.valid:
            say(f"{found.summary}, {counted(found.warning_count, 'warning')}", "bold red" if failed else "green")
    if failed:
        raise typer.Exit(1)


def _validate_server(server: Server, *, strict: bool, as_json: bool) -> None:
    report = server.ask("GET", "/admin/config/validate", seconds=SECONDS)
    if as_json:
        print_json(report)
    else:
        for finding in report["problems"]:
            _say_finding("problem", finding, "bold red")
        for finding in report["warnings"]:
            _say_finding("warning", finding, "yellow")
        at = "nothing is served yet" if report["point"] is None else f"at {report['point']}"
        counts = f"{counted(len(report['problems']), 'problem')}, {counted(len(report['warnings']), 'warning')}"
        say(f"{'valid' if report['valid'] else 'not valid'}, {at}: {counts}", "green" if report["valid"] else "bold red")
    if not report["valid"] or (strict and report["warnings"]):
        raise typer.Exit(1)


def _say_finding(word: str, finding: Mapping[str, Any], style: str) -> None:
    say(f"{word}: {finding['kind']}: {finding['message']}", style)
    shown = [f"{one['kind']} {one['name']}: {one.get('message', '')}" for one in finding.get("records", ())]
    shown += [f"{one['path']}: {one['message']}" for one in finding.get("places", ())]
    for line in shown[:SHOWN]:
        say(f"  {line.removesuffix(': ')}")
    if (more := finding.get("count", 0) - min(len(shown), SHOWN)) > 0:
        say(f"  ... and {more} more")

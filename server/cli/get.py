"""``tracing-config get``: one record as it is."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from server.cli.client import DEFAULT_URL, Server, Url, path_of
from server.cli.output import AsJson, moment, number, print_json, say, strategy_text, yes_no

commands = typer.Typer(name="get", help="Show one record.", no_args_is_help=True)

LABEL = 20
"""Columns before a value."""

Name = Annotated[str, typer.Argument(help="Its name.")]


@commands.command("service", epilog="Example: tracing-config get service checkout")
def get_service(name: Name, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Show the record of a service. Without one, its entry in the strategies file."""
    _show("service", name, as_json, url)


@commands.command("policy", epilog="Example: tracing-config get policy batch")
def get_policy(name: Name, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Show a policy."""
    _show("policy", name, as_json, url)


@commands.command("default", epilog="Example: tracing-config get default")
def get_default(as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Show the default."""
    _show("default", None, as_json, url)


@commands.command("boost", epilog="Example: tracing-config get boost checkout")
def get_boost(service: Name, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Show the boost of a service."""
    _show("boost", service, as_json, url)


def _show(kind: str, name: str | None, as_json: bool, url: str) -> None:
    answer = Server(url).answer("GET", path_of(kind, name))
    if as_json:
        print_json(answer.json)
        return
    show_record(answer.json)


def show_record(record: Mapping[str, Any]) -> None:
    """Every member that says something, a line each."""
    for member, value in record.items():
        if member != "samplingStrategy" and (value is None or value in ("", [])):
            continue
        if member == "coversFileEntry" and not value:
            continue
        label = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in member)
        if member == "samplingStrategy":
            say(f"{'strategy':<{LABEL}}{'none' if value is None else strategy_text(value)}")
        elif member == "operationStrategies":
            for index, one in enumerate(value):
                say(f"{'' if index else 'operations':<{LABEL}}{one['operation']}  {number(one['param'])}")
        elif member == "exportConfig":
            say(f"{'export':<{LABEL}}{', '.join(_exporter_text(name, exporter) for name, exporter in value.items())}")
        elif member in ("startsAt", "endsAt"):
            say(f"{label:<{LABEL}}{moment(value)}")
        elif member == "etag":
            # Without the quotes that a shell takes away: `--if-match` needs none.
            tag = value.strip('"')
            say(f"{label:<{LABEL}}{tag}")
        else:
            say(f"{label:<{LABEL}}{yes_no(value) if isinstance(value, bool) else value}")


def _exporter_text(name: str, exporter: Mapping[str, Any]) -> str:
    endpoint = f" to {exporter['endpoint']}" if "endpoint" in exporter else ""
    return f"{name} {'on' if exporter['enabled'] else 'off'}{endpoint}"

"""``tracing-config list``: records by name."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from server.cli.client import DEFAULT_URL, Server, Url
from server.cli.output import AsJson, moment, print_json, strategy_text, tell, yes_no
from server.cli.table import say_table

commands = typer.Typer(name="list", help="List records.", no_args_is_help=True)

PAGE = 1000

Part = Annotated[str | None, typer.Option("--name", help="Only names with this part.")]
Type = Annotated[
    Literal["probabilistic", "ratelimiting", "operations"] | None,
    typer.Option("--type", help="Of such a strategy; operations: without one of its own."),
]
Owner = Annotated[str | None, typer.Option("--owner", help="Only what this owner manages; empty: what nobody does.")]
Enabled = Annotated[bool | None, typer.Option("--enabled/--disabled", help="Only those.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="So many at most; all without it.")]


@commands.command("services", epilog="Example: tracing-config list services --name check --type probabilistic")
def list_services(
    name: Part = None,
    strategy_type: Type = None,
    owner: Owner = None,
    enabled: Enabled = None,
    source: Annotated[Literal["record", "file"] | None, typer.Option("--source", help="Only from there.")] = None,
    limit: Limit = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """List services: records, and entries of the strategies file."""
    params = {"name": name, "type": strategy_type, "owner": owner, "enabled": enabled, "source": source}
    found = _listed(Server(url), "services", params, limit, as_json=as_json)
    say_table(
        ("service", "strategy", "operations", "source", "owner", "enabled"),
        ([one["service"], *_strategy(one), one["source"], one["managedBy"] or "-", yes_no(one["enabled"])] for one in found),
    )


@commands.command("policies", epilog="Example: tracing-config list policies")
def list_policies(
    name: Part = None,
    strategy_type: Type = None,
    owner: Owner = None,
    enabled: Enabled = None,
    limit: Limit = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """List policies; the default is not one of them."""
    params = {"name": name, "type": strategy_type, "owner": owner, "enabled": enabled}
    found = _listed(Server(url), "policies", params, limit, as_json=as_json)
    say_table(
        ("policy", "pattern", "priority", "strategy", "operations", "from", "until", "owner", "enabled"),
        (
            [
                one["name"],
                one["servicePattern"],
                str(one["priority"]),
                *_strategy(one),
                moment(one["startsAt"] or "-"),
                moment(one["endsAt"] or "-"),
                one["managedBy"] or "-",
                yes_no(one["enabled"]),
            ]
            for one in found
        ),
    )


@commands.command("boosts", epilog="Example: tracing-config list boosts")
def list_boosts(
    name: Part = None,
    every: Annotated[bool, typer.Option("--all", help="Those that have ended too.")] = False,
    limit: Limit = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """List boosts that have not ended."""
    params = {"name": name, "active": None if every else True}
    found = _listed(Server(url), "boosts", params, limit, as_json=as_json)
    say_table(
        ("service", "strategy", "operations", "until", "active", "reason"),
        (
            [one["service"], *_strategy(one), moment(one["endsAt"] or "-"), yes_no(one["active"]), one["reason"] or "-"]
            for one in found
        ),
    )


def _strategy(record: dict[str, Any]) -> tuple[str, str]:
    return strategy_text(record["samplingStrategy"]), str(len(record["operationStrategies"] or ()))


def records_of(server: Server, noun: str, params: Mapping[str, Any], limit: int | None = None) -> dict[str, Any]:
    """The last page of a list with the records of all pages, up to a limit: its ``nextCursor`` tells whether there are more.

    Raises:
        Failed: as ``Server.ask``.
    """
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        left = PAGE if limit is None else min(limit - len(found), PAGE)
        page: dict[str, Any] = server.ask("GET", f"/config/{noun}", params={**params, "limit": left, "cursor": cursor})
        found += page[noun]
        cursor = page["nextCursor"]
        if cursor is None or len(found) == limit:
            return {**page, noun: found}


def _listed(server: Server, noun: str, params: Mapping[str, Any], limit: int | None, *, as_json: bool) -> list[dict[str, Any]]:
    """Every record that is wanted. Ends the command after printing them as JSON."""
    found = records_of(server, noun, params, limit)
    if as_json:
        print_json(found)
        raise typer.Exit
    if found["nextCursor"] is not None:
        tell(f"there are more than {limit}")
    records: list[dict[str, Any]] = found[noun]
    return records

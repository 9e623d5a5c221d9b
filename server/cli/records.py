"""``tracing-config get``, ``delete`` and ``list``: records as they are."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from server.cli.client import DEFAULT_URL, Server, Url, path_of
from server.cli.dry_run import DryRun, Reason, Takeover, end_dry_run
from server.cli.output import AsJson, moment, number, print_json, say, say_table, strategy_text, tell
from server.cli.set import SERVED_SOON

get = typer.Typer(name="get", help="Show one record.", no_args_is_help=True)
delete = typer.Typer(name="delete", help="Delete one record.", no_args_is_help=True)
listing = typer.Typer(name="list", help="List records.", no_args_is_help=True)

PAGE = 1000

LABEL = 20
"""Columns before a value."""

Name = Annotated[str, typer.Argument(help="Its name.")]
Part = Annotated[str | None, typer.Option("--name", help="Only names with this part.")]
Type = Annotated[
    Literal["probabilistic", "ratelimiting", "operations"] | None,
    typer.Option("--type", help="Of such a strategy; operations: without one of its own."),
]
Owner = Annotated[str | None, typer.Option("--owner", help="Only what this owner manages; empty: what nobody does.")]
Enabled = Annotated[bool | None, typer.Option("--enabled/--disabled", help="Only those.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="So many at most; all without it.")]


@get.command("service", epilog="Example: tracing-config get service checkout")
def get_service(name: Name, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Show the record of a service. Without one, its entry in the strategies file."""
    _show("service", name, as_json, url)


@get.command("policy", epilog="Example: tracing-config get policy batch")
def get_policy(name: Name, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Show a policy."""
    _show("policy", name, as_json, url)


@get.command("default", epilog="Example: tracing-config get default")
def get_default(as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Show the default."""
    _show("default", None, as_json, url)


@get.command("boost", epilog="Example: tracing-config get boost checkout")
def get_boost(service: Name, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Show the boost of a service."""
    _show("boost", service, as_json, url)


def _show(kind: str, name: str | None, as_json: bool, url: str) -> None:
    answer = Server(url).answer("GET", path_of(kind, name))
    if as_json:
        print_json(answer.json)
        return
    show_record(answer.json)
    if answer.etag is not None:
        tag = answer.etag.strip('"')
        say(f"{'etag':<{LABEL}}{tag}")


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
            exporters = ", ".join(f"{name} {'on' if exporter['enabled'] else 'off'}" for name, exporter in value.items())
            say(f"{'export':<{LABEL}}{exporters}")
        elif member in ("startsAt", "endsAt"):
            say(f"{label:<{LABEL}}{moment(value)}")
        else:
            say(f"{label:<{LABEL}}{_yes(value) if isinstance(value, bool) else value}")


@delete.command("service", epilog="Example: tracing-config delete service checkout --reason 'gone'")
def delete_service(
    name: Name,
    reason: Reason = None,
    takeover: Takeover = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Delete the record of a service: it gets what the strategies file, policies and the default say."""
    _delete("service", name, reason, takeover, dry_run, as_json, url)


@delete.command("policy", epilog="Example: tracing-config delete policy batch")
def delete_policy(
    name: Name,
    reason: Reason = None,
    takeover: Takeover = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Delete a policy."""
    _delete("policy", name, reason, takeover, dry_run, as_json, url)


@delete.command("default", epilog="Example: tracing-config delete default")
def delete_default(
    reason: Reason = None,
    takeover: Takeover = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Reset the default: the strategies file's default, else 0.001, is what is left."""
    _delete("default", None, reason, takeover, dry_run, as_json, url)


@delete.command("boost", epilog="Example: tracing-config delete boost checkout")
def delete_boost(
    service: Name, reason: Reason = None, dry_run: DryRun = False, as_json: AsJson = False, url: Url = DEFAULT_URL
) -> None:
    """End the boost of a service now."""
    _delete("boost", service, reason, False, dry_run, as_json, url)


def _delete(kind: str, name: str | None, reason: str | None, takeover: bool, dry_run: bool, as_json: bool, url: str) -> None:
    params = {"reason": reason, "takeover": takeover or None, "dryRun": dry_run or None}
    answer = Server(url).answer("DELETE", path_of(kind, name), params=params)
    deleted = answer.json
    if dry_run:
        end_dry_run(deleted, as_json=as_json)
    if as_json:
        print_json(deleted)
        return
    done = "default is reset" if name is None else f"{kind} {name} is deleted"
    say(f"{done} (revision {deleted['revision']})")
    if answer.soon:
        tell(SERVED_SOON)
    if deleted.get("uncoversFileEntry"):
        say("What the strategies file says is in force now.")


@listing.command("services", epilog="Example: tracing-config list services --name check --type probabilistic")
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
        ([one["service"], *_strategy(one), one["source"], one["managedBy"] or "-", _yes(one["enabled"])] for one in found),
    )


@listing.command("policies", epilog="Example: tracing-config list policies")
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
                _yes(one["enabled"]),
            ]
            for one in found
        ),
    )


@listing.command("boosts", epilog="Example: tracing-config list boosts")
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
            [one["service"], *_strategy(one), moment(one["endsAt"] or "-"), _yes(one["active"]), one["reason"] or "-"]
            for one in found
        ),
    )


def _strategy(record: dict[str, Any]) -> tuple[str, str]:
    return strategy_text(record["samplingStrategy"]), str(len(record["operationStrategies"] or ()))


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _listed(server: Server, noun: str, params: dict[str, Any], limit: int | None, *, as_json: bool) -> list[dict[str, Any]]:
    """Every record, page after page. Ends the command after printing them as JSON."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        left = PAGE if limit is None else min(limit - len(found), PAGE)
        page = server.ask("GET", f"/config/{noun}", params={**params, "limit": left, "cursor": cursor})
        found += page[noun]
        cursor = page["nextCursor"]
        if cursor is None or len(found) == limit:
            break
    if as_json:
        print_json({**page, noun: found})
        raise typer.Exit
    if cursor is not None:
        tell(f"there are more than {limit}")
    return found

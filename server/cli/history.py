"""``tracing-config history`` and ``diff``: what was changed."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import typer

from server.cli.client import DEFAULT_URL, Server, Url
from server.cli.dry_run import say_difference
from server.cli.failures import WrongUsage
from server.cli.output import AsJson, counted, moment, print_json, say, tell
from server.cli.table import say_table

PAGE = 1000

_CHANGE = re.compile(r"^[0-9]{1,18}\.[0-9]{1,9}\Z")

_AGO = re.compile(r"^(?=.)(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?$", re.ASCII)


def history(
    name: Annotated[str | None, typer.Argument(help="Exactly this record; without it all.")] = None,
    kind: Annotated[
        Literal["service", "policy", "boost"] | None, typer.Option("--kind", help="Of such records; the default is a policy.")
    ] = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Who changed it.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="Like 2026-12-01T00:00:00Z, or 2h: the last two hours.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Before this instant, or before 2h ago.")] = None,
    commit: Annotated[str | None, typer.Option("--commit", help="The id of a commit, or its beginning.")] = None,
    revision: Annotated[int | None, typer.Option("--revision", help="What one revision changed.")] = None,
    before: Annotated[
        str | None,
        typer.Option(
            "--before", metavar="REVISION.POSITION", help="Older than this change: how a history that was cut goes on."
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="So many changes at most.")] = 50,
    full: Annotated[bool, typer.Option("--full", help="Each record before and after.")] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Tell what was changed, by whom and why, the newest first."""
    params: dict[str, object] = {"kind": kind, "name": name, "actor": actor, "commit": commit, "revision": revision}
    params |= {"since": _instant("--since", since), "until": _instant("--until", until)}
    if before is not None and not _CHANGE.match(before):
        raise WrongUsage(f"--before: {before!r} is no change; give its revision and position, like 64.18")
    server = Server(url)
    changes: list[dict[str, Any]] = []
    cursor = before
    while True:
        wanted = {**params, "limit": min(limit - len(changes), PAGE), "cursor": cursor}
        page = server.ask("GET", "/config/changes", params=wanted)
        changes += page["changes"]
        cursor = page["nextCursor"]
        if cursor is None or len(changes) >= limit:
            break
    if as_json:
        print_json({"changes": changes, "nextCursor": cursor})
        return
    if full:
        for one in changes:
            by = f"{one['actor']}: {one['reason']}" if one["reason"] else one["actor"]
            say(f"revision {one['revision']}, {moment(one['at'])}, {by}", "bold")
            if one["kind"] is not None:
                say_difference(one)
    else:
        say_table(
            ("revision", "at", "actor", "change", "reason"),
            ([str(one["revision"]), moment(one["at"]), one["actor"], _change(one), one["reason"] or "-"] for one in changes),
        )
    if cursor:
        tell(f"there are older ones: --limit {limit * 10}, or --before {cursor}")


def _change(one: dict[str, Any]) -> str:
    if one["kind"] is None:  # An entry for what was done outside the records: its reason tells what.
        return "-"
    verb = "added" if one["before"] is None else "deleted" if one["after"] is None else "changed"
    return f"{verb} {one['kind']} {one['name']}"


def _instant(option: str, text: str | None) -> str | None:
    """An instant as it is given, or so long ago."""
    found = _AGO.match(text) if text else None
    if text is None or found is None:
        return text
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    try:
        at = datetime.now(UTC) - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise WrongUsage(f"{option}: {text} is too long ago") from None
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def diff(
    before: Annotated[int, typer.Argument(metavar="FROM", help="A revision.")],
    after: Annotated[int | None, typer.Argument(metavar="TO", help="Another one; the newest if it is left out.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show every record that is not the same at two revisions."""
    server, params = Server(url), {"from": before, "to": after, "limit": PAGE}
    found = page = server.ask("GET", "/config/diff", params=params)
    # The newest revision may move between two pages: all are of the one that the first was of.
    params["to"] = found["to"]
    while page["nextCursor"] is not None:
        page = server.ask("GET", "/config/diff", params={**params, "cursor": page["nextCursor"]})
        found["records"] += page["records"]
    if as_json:
        print_json({**found, "nextCursor": None})
        return
    say(f"{counted(found['recordCount'], 'record')} changed from revision {found['from']} to {found['to']}", "bold")
    for record in found["records"]:
        say_difference(record)

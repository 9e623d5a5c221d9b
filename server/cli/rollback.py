"""``tracing-config rollback``: records as they were."""

import shlex
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from server.cli.client import DEFAULT_URL, Server, Url
from server.cli.dry_run import DryRun, Reason, Takeover, Yes, agreed, check_can_ask, end_dry_run, show_dry_run
from server.cli.failures import Failed
from server.cli.lists import records_of
from server.cli.output import AsJson, counted, moment, print_json, say, tell
from server.cli.set import SERVED_SOON

SECONDS = 120.0
"""A rollback may be of 100,000 records."""

SHOWN_BOOSTS = 3


def rollback(
    revision: Annotated[int, typer.Argument(help="The revision whose records are wanted back.")],
    reason: Reason = None,
    takeover: Takeover = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Go back to a revision, as a new revision. Shows the effect and asks.

    Every record becomes what it was; boosts stay as they are. A rollback can be rolled back.
    """
    if not dry_run:
        check_can_ask(yes=yes, as_json=as_json)
    server = Server(url)
    body = {"revision": revision, **({"reason": reason} if reason else {})}
    params = {"takeover": takeover or None}

    def plan() -> dict[str, Any]:
        found: dict[str, Any] = server.ask(
            "POST", "/config/rollback", json=body, params={**params, "dryRun": True}, seconds=SECONDS
        )
        return found

    def show(found: Mapping[str, Any]) -> None:
        if found["recordCount"]:
            show_dry_run(found)
        else:
            say(nothing)
        _say_boosts(server)

    nothing = f"Nothing to do: every record but boosts is as it was at revision {revision}."
    if dry_run:
        end_dry_run(plan(), as_json=as_json, show=show)
    if not yes and not agreed(server, plan, f"Roll back to revision {revision}?", yes=False, show=show):
        return
    answer = server.answer("POST", "/config/rollback", json=body, params=params, seconds=SECONDS)
    done = answer.json
    if as_json:
        print_json(done)
        return
    if not done["changed"]:
        say(nothing)
    else:
        say(f"{counted(done['changed'], 'record')} rolled back to revision {revision} (revision {done['revision']})")
    if answer.soon:
        tell(SERVED_SOON)
    _say_boosts(server)


def _say_boosts(server: Server) -> None:
    """They are no part of a rollback, and may be why a service still does not get what it got."""
    try:
        boosts = records_of(server, "boosts", {"active": True})["boosts"]
    except Failed as error:
        tell(f"which boosts stay as they are cannot be told: {error}")
        return
    if not boosts:
        return
    shown = ", ".join(f"{one['service']} until {moment(one['endsAt'])}" for one in boosts[:SHOWN_BOOSTS])
    if len(boosts) == 1:
        name = shlex.quote(boosts[0]["service"])
        say(f"1 boost stays as it is: {shown}; `tracing-config delete boost {name}` ends it")
        return
    more = f" and {len(boosts) - SHOWN_BOOSTS} more" if len(boosts) > SHOWN_BOOSTS else ""
    say(f"{len(boosts)} boosts stay as they are: {shown}{more}; `tracing-config delete boost SERVICE` ends one")

"""Showing what a write would change, and asking whether it should."""

import difflib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, NoReturn

import typer

from server.cli.client import Server
from server.cli.failures import WrongUsage
from server.cli.output import answer_text, counted, print_json, say

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Change nothing; show what would change, and end with 3 if anything would.")
]
Reason = Annotated[str | None, typer.Option("--reason", help="Goes into the history.")]
Takeover = Annotated[bool, typer.Option("--takeover", help="Write records of other owners too.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

PENDING = 3
"""Exit code: changes are pending in a dry run."""

SHOWN = 20

Show = Callable[[Mapping[str, Any]], None]
"""How a dry run is shown to a person."""


def show_dry_run(found: Mapping[str, Any]) -> None:
    """What would change: records and answers."""
    say_import_warnings(found)
    count = found["recordCount"]
    if not count:
        say("Nothing would change.")
        return
    say(f"{counted(count, 'record')} would change:", "bold")
    for record in found["records"][:SHOWN]:
        say_difference(record)
    if count > SHOWN:
        say(f"  ... and {count - SHOWN} more")
    effect = found["effect"]
    changed, examined = effect["changed"], effect["examined"]
    ran_out = "" if effect["complete"] else "; time ran out, so there may be more"
    of = f"{counted(examined, 'service')} configured or polled lately"
    if not changed:
        say(f"None of {of} would get another answer{ran_out}.", "bold")
        return
    say(f"{changed} of {of} would get another answer{ran_out}:", "bold")
    for answer in effect["answers"][:SHOWN]:
        say(f"  {answer['service'] or '(no name)'}: {answer_text(answer['before'])} -> {answer_text(answer['after'])}")
    if changed > SHOWN:
        say(f"  ... and {changed - SHOWN} more")


def end_dry_run(found: dict[str, Any], *, as_json: bool, show: Show = show_dry_run) -> NoReturn:
    """Show a dry run and end the command: with 3 if something would change, else with 0."""
    if as_json:
        print_json(found)
    else:
        show(found)
    raise typer.Exit(PENDING if found["recordCount"] else 0)


def agreed(server: Server, plan: Callable[[], dict[str, Any]], question: str, *, yes: bool, show: Show = show_dry_run) -> bool:
    """Show what would change and ask, again if somebody changed it while the question stood; false if nothing would.

    ``plan`` does the dry run. Of what a dry run does not list, after the first 1000 records, only the number is compared.

    Raises:
        typer.Exit: the answer is no.
    """
    found = plan()
    while True:
        show(found)
        if not found["recordCount"]:
            return False
        ask(question, yes=yes)
        shown = found
        if yes or server.ask("GET", "/config/services", params={"limit": 1})["revision"] == shown["revision"]:
            return True
        found = plan()
        if (found["recordCount"], found["records"]) == (shown["recordCount"], shown["records"]):
            return True
        say("it was changed meanwhile; this is what would change now:", "bold")


def say_import_warnings(found: Mapping[str, Any]) -> None:
    """What a document says and is not taken as it stands there."""
    warnings = found.get("warnings", ())
    for warning in warnings[:SHOWN]:
        say(f"warning: {warning['path']}: {warning['message']}", "yellow")
    if (more := found.get("warningCount", 0) - SHOWN) > 0:
        say(f"warning: and {more} more", "yellow")
    if boosts := found.get("boostsLeftAlone", 0):
        say(f"{counted(boosts, 'boost')} in the file left alone: boosts are not imported", "yellow")


def say_difference(record: Mapping[str, Any]) -> None:
    """One record before and after, line by line."""
    sign = "+" if record["before"] is None else "-" if record["after"] is None else "~"
    say(f"  {sign} {record['kind']} {record['name']}", {"+": "green", "-": "red", "~": "yellow"}[sign])
    for line in _lines(record["before"], record["after"]):
        say(f"      {line}", {"+": "green", "-": "red"}.get(line[0], ""))


def _lines(before: object, after: object) -> Iterator[str]:
    old, new = ([] if one is None else json.dumps(one, indent=2, ensure_ascii=False).splitlines() for one in (before, after))
    for line in difflib.unified_diff(old, new, lineterm="", n=1):
        if not line.startswith(("---", "+++", "@@")):
            yield line


def check_can_ask(*, yes: bool, as_json: bool, instead: str = ", or --dry-run to see what it would do") -> None:
    """Refuse to begin what would end in a question that nobody could answer, or without seeing what it is about.

    ``instead`` is what can be done without a question, beside ``--yes``.

    Raises:
        WrongUsage: it is.
    """
    if yes:
        return
    if as_json:
        raise WrongUsage(f"--json shows nothing to decide by: give --yes to do it without asking{instead}")
    if not sys.stdin.isatty():
        raise WrongUsage(f"nobody can be asked here: give --yes to do it without asking{instead}")


def ask(question: str, *, yes: bool) -> None:
    """Go on only where the answer is yes."""
    if not yes and not typer.confirm(question, err=True):
        raise typer.Exit(1)

"""``tracing-config apply``: what files say becomes so, for one owner."""

from pathlib import Path
from typing import Annotated, Any

import typer

from server.cli.client import DEFAULT_URL, Server, Url
from server.cli.dry_run import DryRun, Reason, Takeover, Yes, agreed, check_can_ask, end_dry_run
from server.cli.output import AsJson, print_json
from server.cli.transfer import check_owner, document_of, say_imported, send


def apply(
    file: Annotated[Path, typer.Option("--file", "-f", help="A YAML or JSON file, a folder of them, or -: standard input.")],
    owner: Annotated[str, typer.Option("--owner", help="Who manages the records: a team, a repository.")],
    prune: Annotated[bool, typer.Option("--prune", help="Also delete what the owner has and the files do not.")] = False,
    reason: Reason = None,
    takeover: Takeover = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Make an owner's records what files say. Shows the effect and asks; it is one revision."""
    check_owner(owner)
    if not dry_run:
        check_can_ask(yes=yes, as_json=as_json)
    server, document = Server(url), document_of(file)
    params = {"mode": "replace" if prune else "merge", "owner": owner, "takeover": takeover or None}

    def plan() -> dict[str, Any]:
        found: dict[str, Any] = send(server, document, {**params, "dryRun": True})
        return found

    if dry_run:
        end_dry_run(plan(), as_json=as_json)
    # Shown with --yes too: the log of a pipeline is where people look later.
    if not as_json and not agreed(server, plan, "Apply?", yes=yes):
        return
    answer = send(server, document, {**params, "reason": reason})
    if as_json:
        print_json(answer)
    else:
        say_imported(answer)

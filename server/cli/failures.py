"""How commands end where they do not do what they were asked for."""

from collections.abc import Mapping
from typing import Any

from server.cli.output import escaped

SHOWN = 20
"""So many fields or records are named."""


WORDS = {
    "?takeover=true": "--takeover",
    "lenient=true": "--lenient",
    "If-Match": "--if-match",
    "; send the header `Authorization: Bearer <token>`": "",
    "since: must be": "--since: must be",
    "until: must be": "--until: must be",
    " or 2026-11-24T10:00:00%2B01:00 (a plus is %2B in a query)": ", or 2h: so long ago",
}
"""What the API says, and how it is said here."""


class Failed(Exception):
    """Is raised for whatever ends a command with 1; the message is for a person, and may have several lines."""

    exit_code = 1


class WrongUsage(Failed):
    """Is raised for arguments that cannot be meant; ends a command with 2, as the command line's library does."""

    exit_code = 2


def problem_text(problem: Mapping[str, Any]) -> str:
    """What the server says went wrong, and what is to be done about it, in words of the command line.

    Raises:
        KeyError, TypeError, AttributeError: it is no problem of this API.
    """
    nowhere = problem["status"] == 404 and problem["detail"].startswith("there is nothing at ")
    lines = [problem["detail"] + ("; is the address right?" if nowhere else "")]
    if len(errors := problem.get("errors", [])) > 1:
        lines += [f"  {error['field']}: {error['message']}" for error in errors]
    if len(records := problem.get("records", [])) > 1:
        lines += [f"  {one['kind']} {one['name']} is managed by {one['managedBy']}" for one in records]
    if len(lines) > SHOWN + 1:
        lines = [*lines[: SHOWN + 1], f"  ... and {len(lines) - SHOWN - 1} more"]
    if commit := problem.get("commitId"):
        lines.append(f"`tracing-config history --commit {commit}` tells later whether it is there")
    return "\n".join(escaped(_said_here(line)) for line in lines)


def _said_here(line: str) -> str:
    for said, words in WORDS.items():
        line = line.replace(said, words)
    return line

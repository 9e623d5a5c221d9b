"""The option ``--if-match``: a write only where nobody else wrote meanwhile."""

import re
from typing import Annotated

import typer

from server.cli.failures import WrongUsage

IfMatch = Annotated[
    str | None,
    typer.Option("--if-match", help="Only if the record still has the etag that `get` shows; * is: only if there is one."),
]


_TAG = re.compile(r'(?:W/)?"?([0-9]+-[0-9a-f]{8})"?')


def tag_of(text: str | None) -> str | None:
    """An ETag; its quotes may be left out, which a shell takes away.

    Raises:
        WrongUsage: it is none.
    """
    if text is None or text == "*":
        return text
    found = _TAG.fullmatch(text.strip())
    if found is None:
        raise WrongUsage(f"--if-match: {text!r} is no etag; give the one that `get` shows, like 120-3f9a1c02, or *")
    return f'"{found[1]}"'


def headers_of(tag: str | None) -> dict[str, str]:
    """The header of a request that is to be refused where the record has another ETag."""
    return {"If-Match": tag} if tag else {}

"""The option ``--if-match``: a write only where nobody else wrote meanwhile."""

from typing import Annotated

import typer

IfMatch = Annotated[
    str | None,
    typer.Option("--if-match", help="Only if the record still has the etag that `get` shows; * is: only if there is one."),
]


def tag_of(text: str | None) -> str | None:
    """An ETag; its quotes may be left out, which a shell takes away."""
    return text if text is None or text == "*" or text.startswith(('"', "W/")) else f'"{text}"'


def headers_of(tag: str | None) -> dict[str, str]:
    """The header of a request that is to be refused where the record has another ETag."""
    return {"If-Match": tag} if tag else {}

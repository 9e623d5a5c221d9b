"""What somebody is told who looks at a database and changes nothing in it."""

from collections.abc import Sequence

import msgspec

from storage.interface import Point
from storage.migrate import Applied, migrations, pending


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """A database that can be read."""

    version: str
    """Of its server, or of the library that reads it."""

    schema: int
    """The newest number in it; 0: nothing was ever put there."""

    point: Point | None
    """Of its newest commit; None where there is no schema."""

    read_only: str | None
    """Why nothing can be written; None: it can."""


def read_schema(product: str, applied: Sequence[Applied]) -> int:
    """The newest schema of these. Raises WrongVersion and StoreUnusable where this program cannot work on it."""
    pending(migrations(product), applied, create=True)
    return max((row.number for row in applied), default=0)


def program_schema(product: str) -> int:
    """The newest schema that this program knows, and that a start of it brings a database to."""
    return migrations(product)[-1].number

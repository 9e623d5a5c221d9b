"""How a store grows, and when it was last backed up: what is told of it to whoever plans its capacity."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from sampling.records import KINDS, Kind
from storage.errors import SchemaOutdated
from storage.interface import Head
from storage.migrate import Applied, migrations, pending

MONTHS = 6
"""Growth is told for so many calendar months (UTC), the current one among them."""


class TableSize(msgspec.Struct, frozen=True):
    """Bytes of a table on the disk."""

    bytes: int
    """Its rows, without what is stored out of line."""

    total_bytes: int
    """With what is stored out of line and its indexes."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """As one read transaction saw them; sizes are of the moment."""

    database_bytes: int
    """Of the whole database, or of the file without its write-ahead log."""

    tables: Mapping[str, TableSize]
    """By name. Empty on SQLite, which would have to read every page of the file to tell."""

    created: Mapping[Kind, Sequence[int]]
    """How many of the records that there are were created in each of the last MONTHS, the current one first."""

    revisions: int
    """In the log, the first migration's among them. By its head: none is ever missing."""

    last_backup: datetime | None
    """The moment that the newest backup holds, by the store's clock; None where none is known of."""


class Measured(Protocol):
    """A store that tells its figures."""

    async def figures(self) -> Figures:
        """Read them, without holding up the follower or a commit. It costs one pass over the records.

        Raises:
            StoreUnavailable: the store does not answer within 10 s.
            SchemaOutdated: an older schema was put in place since the store was opened.
        """
        ...


def check_is_current(product: str, applied: Sequence[Applied]) -> None:
    """Raises SchemaOutdated for a schema that lacks what this program knows, and as ``pending``."""
    if missing := pending(migrations(product), applied, create=True):
        raise SchemaOutdated(f"the database's schema is older than {missing[-1].number}: it is brought up to date")


def first_month(head: Head) -> datetime:
    """When the earliest of the MONTHS began."""
    now = datetime.fromtimestamp(head.clock, UTC)
    years, month = divmod(now.year * 12 + now.month - MONTHS, 12)
    return datetime(years, month + 1, 1, tzinfo=UTC)


def created_by_month(head: Head, rows: Iterable[tuple[Kind, int, int, int]]) -> Mapping[Kind, Sequence[int]]:
    """``Figures.created`` from rows of kind, year, month and number. What was created later than now counts as of now."""
    now = datetime.fromtimestamp(head.clock, UTC)
    created = {kind: [0] * MONTHS for kind in KINDS}
    for kind, year, month, number in rows:
        created[kind][max(0, (now.year - year) * 12 + now.month - month)] += number
    return created

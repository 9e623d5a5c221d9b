"""What a backup holds, and what a database promises to whoever makes one or restores it.

A backup is rows, in the order of ``TABLES`` and of their keys: equal stores give equal backups, whatever product they are on.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Annotated, Any, Protocol

import msgspec

from storage.errors import BackupInvalid, HeadMoved, StoreUnusable
from storage.interface import Head, Point
from storage.migrate import Applied, migrations, pending

Row = tuple[Any, ...]

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A revision, or how many rows there are: what every product can hold."""


class Table(msgspec.Struct, frozen=True):
    """A table of the schema, without the columns that are derived from others."""

    name: str
    columns: tuple[str, ...]
    key: str
    row: Any
    """The type of a row, as it is decoded. Columns whose name ends in ``_at`` hold instants."""

    @property
    def select(self) -> str:
        """All rows in the order of their keys, which have the same order on every product."""
        return f"SELECT {', '.join(self.columns)} FROM {self.name} ORDER BY {self.key}"  # noqa: S608 - our own names

    @property
    def count(self) -> str:
        return f"SELECT count(*) FROM {self.name}"  # noqa: S608

    @property
    def delete(self) -> str:
        return f"DELETE FROM {self.name}"  # noqa: S608


_RECORDS = ("record", "revision", "commit_id", "created_at", "updated_at")

ACCEPTED = Table("accepted_stores", ("store_id", "accepted_at"), "store_id", tuple[str, datetime])
REVISIONS = Table(
    "revisions",
    ("revision", "commit_id", "created_at", "actor", "reason", "checksum"),
    "revision",
    tuple[Number, str, datetime, str, str, str],
)
CHANGES = Table(
    "changes",
    ("revision", "position", "kind", "key", "before", "after"),
    "revision, position",
    tuple[Number, Number, str, str, str | None, str | None],
)
SERVICES = Table(
    "tracing_configurations",
    ("service_name", *_RECORDS),
    "service_name",
    tuple[str, str, Number, str, datetime, datetime],
)
POLICIES = Table("sampling_policies", ("name", *_RECORDS), "name", SERVICES.row)

TABLES = (ACCEPTED, REVISIONS, CHANGES, SERVICES, POLICIES)
"""All but ``store``, whose one row is the point, and those that every database has of its own: ``schema_migrations``, and
``backups``, which tells what is kept elsewhere."""

TARGET = """
SELECT store.store_id, head.revision, head.commit_id,
    (SELECT same.commit_id FROM revisions AS same WHERE same.revision = $1)
FROM store JOIN revisions AS head ON head.revision = store.revision
"""
"""The fields of a ``Target``; possible on every schema that there was."""

SET_POINT = """
INSERT INTO store (only_row, store_id, revision) VALUES (true, $1, $2)
ON CONFLICT (only_row) DO UPDATE SET store_id = excluded.store_id, revision = excluded.revision
"""

KEPT_NOTES = 100
"""So many backups are remembered, the newest."""

NOTE = """
INSERT INTO backups (made_at, place, revision, bytes)
SELECT $1, $2, $3, $4 FROM store WHERE store_id = $5
RETURNING revision
"""

FORGET_NOTES = f"""
DELETE FROM backups
WHERE made_at < (SELECT made_at FROM backups ORDER BY made_at DESC LIMIT 1 OFFSET {KEPT_NOTES - 1})
"""  # noqa: S608 - a number of this module

FORGET_ALL_NOTES = "DELETE FROM backups"

RESTORED = "restored from it"
"""In the place of where a backup is, in a database that was made from it."""

ACCEPT = "INSERT INTO accepted_stores (store_id) VALUES ($1) ON CONFLICT DO NOTHING"


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a backup says of itself at its front."""

    format: str
    schema: int
    """The number of the newest migration: which columns there are."""

    program: str
    """The version that made it."""

    store: str
    """The product that it was made from."""

    created_at: datetime
    """The store's clock at the moment that it holds."""

    store_id: str
    revision: Number
    commit_id: str
    checksum: str
    rows: dict[str, Number]
    """By table, in the order in which they follow."""

    @property
    def point(self) -> Point:
        return Point(self.store_id, self.revision, self.commit_id)


class Target(msgspec.Struct, frozen=True):
    """What stands where a backup would be restored."""

    point: Point
    commit_at_backup: str | None
    """The commit id that its log has at the revision of the backup; None where it has no such revision."""


Agreed = Callable[[Target | None], object]
"""Is called with what would be replaced, and raises where nobody has agreed to that."""


class Dump(Protocol):
    """Everything as of one moment, read in one transaction."""

    @property
    def head(self) -> Head: ...

    @property
    def rows(self) -> Mapping[str, int]:
        """How many rows each table has."""
        ...

    def __aiter__(self) -> AsyncIterator[tuple[Table, Sequence[Row]]]:
        """All rows in chunks of at most ``CHUNK_ROWS``, table by table."""
        ...


class Backup(Protocol):
    """A backup that can be read from its front, as often as somebody likes. Reading raises ``BackupInvalid``."""

    @property
    def manifest(self) -> Manifest: ...

    def __iter__(self) -> Iterator[tuple[Table, Sequence[Row]]]: ...


class Database(Protocol):
    """A store as a whole, for programs that make backups and restore them; the server has nothing to do with it.

    Every method raises ``StoreUnavailable`` when the database does not answer, each step within its own time limit, and
    ``StoreUnusable`` when it never will without somebody's help.
    """

    name: str
    """The product: ``PostgreSQL`` or ``SQLite``."""

    address: str
    """Without secrets."""

    def dump(self) -> AbstractAsyncContextManager[Dump]:
        """Everything, without holding up anybody. Changes nothing, so it raises StoreUnusable for a schema that is not this
        program's."""
        ...

    async def target(self, revision: int) -> Target | None:
        """What is there, and its commit at the revision of a backup; None where no store is there. Changes nothing."""
        ...

    async def note(self, manifest: Manifest, place: str, size: int) -> None:
        """Remember that a backup was made whole, where it is (no secrets) and its bytes, for ``Measured.figures``.

        Raises:
            StoreUnavailable: it is a standby, or locked by a restore.
            StoreUnusable: this user may not write there, or another store has taken the place of the one that was backed up.
        """
        ...

    async def restore(self, backup: Backup, agreed: Agreed, restored: Callable[[int], object]) -> None:
        """Replace everything by a backup, in one transaction: nobody ever sees a part of it.

        Of backups it knows the one that it is made from, and no other: those of what was there may be of commits that are
        lost. The schema is brought up to date where it is older, and made where there is none. Stores that this database took
        the place of stay accepted, and one with another id that was there is accepted too: its replicas follow. They are
        told that there is news. ``agreed`` is called when nobody can commit any more, ``restored`` with so many rows at a time.

        Raises:
            HeadMoved: or what else ``agreed`` raises; nothing was changed.
            BackupInvalid: the backup cannot be read, or has no head; nothing was changed.
            OutcomeUnknown: the answer to the commit was lost.
        """
        ...


def schema() -> int:
    """The number of the schema that this program knows, the same for every product."""
    return migrations("sqlite")[-1].number


def check_schema(product: str, applied: Sequence[Applied], *, older: bool = False) -> None:
    """Refuse a database whose schema this program does not know exactly; ``older`` ones may do, since they are brought up.

    Raises:
        StoreUnusable: its rows would be read or replaced wrongly or in part.
    """
    pending(migrations(product), applied, create=True)
    newest = max((row.number for row in applied), default=0)
    if newest > schema():
        raise StoreUnusable(f"the database has schema {newest}, and this program knows {schema()}: take the server's version")
    if newest < schema() and not older:
        raise StoreUnusable(
            f"the database has schema {newest}, and this program knows {schema()}: start a server of this version first"
            if applied
            else "the database is empty; is this the right one?"
        )


def only_over(expected: Point | None) -> Agreed:
    """Agrees to replace the store that is at this point, or with None to fill an empty database, and raises HeadMoved else."""

    def check(target: Target | None) -> None:
        point = None if target is None else target.point
        if point != expected:
            raise HeadMoved(point, expected)

    return check


def check_noted(rows: Sequence[Any]) -> None:
    """Whether ``NOTE`` has found the store that was backed up. Raises StoreUnusable."""
    if not rows:
        raise StoreUnusable("another store has taken the place of the one that was backed up")


def check_restored(target: Target | None, manifest: Manifest) -> None:
    """Whether the store has the head that the backup promises. Raises BackupInvalid."""
    if target is None or target.point != manifest.point:
        raise BackupInvalid(f"the backup's log does not have {manifest.point}, the point that it says it holds")

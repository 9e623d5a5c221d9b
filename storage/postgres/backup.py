"""A PostgreSQL database as a whole, for backups."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import chain, groupby, islice

import asyncpg

from storage.backup import (
    ACCEPT,
    FORGET_ALL_NOTES,
    FORGET_NOTES,
    NOTE,
    RESTORED,
    SET_POINT,
    TABLES,
    TARGET,
    Agreed,
    Backup,
    Dump,
    Manifest,
    Row,
    Table,
    Target,
    check_noted,
    check_restored,
    check_schema,
)
from storage.errors import OutcomeUnknown, StoreUnusable
from storage.interface import Head, Point
from storage.migrate import migrations
from storage.postgres.connection import (
    CLOSE_SECONDS,
    DRIVER_ERRORS,
    READ_LIMITS,
    WRITE_LIMITS,
    Connection,
    Connector,
    translated,
)
from storage.postgres.migrate import LOCK, applied, migrate
from storage.postgres.reader import CHANNEL, begin_snapshot, chunks

STEP_SECONDS = 60.0
"""For each step: counting a table, emptying it, some thousand rows, the commit."""

COPIED_ROWS = 5000
"""Rows that are sent at once."""

_TIME = "SET LOCAL statement_timeout = '60s'; SET LOCAL idle_in_transaction_session_timeout = '60s'"
_READ = f"{READ_LIMITS}; {_TIME}"
_WRITE = f"{WRITE_LIMITS}; {_TIME}; SET LOCAL lock_timeout = '10s'"

# Readers go on with what was there before; whoever commits waits.
_NOBODY_COMMITS = "LOCK TABLE store, accepted_stores, backups IN EXCLUSIVE MODE"

_NEWS = f"ANALYZE {', '.join(table.name for table in TABLES)}; NOTIFY {CHANNEL}"


class PostgresDatabase:
    """A ``storage.backup.Database``. ``url`` as for ``PostgresStore``; raises ValueError for one that is none."""

    name = "PostgreSQL"

    def __init__(self, url: str) -> None:
        self._connector = Connector(url)
        self.address = self._connector.address.public

    @asynccontextmanager
    async def dump(self) -> AsyncIterator[Dump]:
        async with self._connected(writable=False) as connection:
            with translated():
                try:
                    check_schema("postgres", await applied(connection))
                except StoreUnusable as error:
                    raise StoreUnusable(f"{self.address}: {error}") from None
                head = await begin_snapshot(connection, _READ)
                rows = {table.name: await connection.fetchval(table.count) for table in TABLES}
            yield _Dump(connection, head, rows)

    async def target(self, revision: int) -> Target | None:
        async with self._connected(writable=False) as connection:
            with translated():
                if not (known := await applied(connection)):
                    return None
                check_schema("postgres", known, older=True)
                return await _target(connection, revision)

    async def note(self, manifest: Manifest, place: str, size: int) -> None:
        async with self._connected(writable=True) as connection:
            with translated():
                async with connection.transaction(isolation="read_committed"):
                    await connection.execute(WRITE_LIMITS)
                    await _note(connection, manifest, place, size)
                    await connection.execute(FORGET_NOTES)

    async def restore(self, backup: Backup, agreed: Agreed, restored: Callable[[int], object]) -> None:
        async with self._connected(writable=True) as connection:
            with translated():
                transaction = connection.transaction(isolation="read_committed")
                await transaction.start()
                await _replace(connection, backup, agreed, restored)
            try:
                await transaction.commit()
            except DRIVER_ERRORS as error:
                raise OutcomeUnknown(backup.manifest.commit_id) from error

    @asynccontextmanager
    async def _connected(self, *, writable: bool) -> AsyncIterator[Connection]:
        """A connection; for reading also to a standby. What was not committed at its end is taken back."""
        with translated():
            try:
                connection = await self._connector.connect(writable=True, query_seconds=STEP_SECONDS, look=True)
            except asyncpg.TargetServerAttributeNotMatched:
                if writable:
                    raise
                connection = await self._connector.connect(writable=False, query_seconds=STEP_SECONDS, look=True)
        try:
            yield connection
        finally:
            with suppress(*DRIVER_ERRORS):
                await connection.close(timeout=CLOSE_SECONDS)


class _Dump:
    """A ``storage.backup.Dump`` over an open read transaction."""

    def __init__(self, connection: Connection, head: Head, rows: Mapping[str, int]) -> None:
        self.head, self.rows = head, rows
        self._connection = connection

    async def __aiter__(self) -> AsyncIterator[tuple[Table, Sequence[Row]]]:
        for table in TABLES:
            async for rows in chunks(self._connection, table.select):
                yield table, [tuple(row) for row in rows]


async def _target(connection: Connection, revision: int) -> Target | None:
    row = await connection.fetchrow(TARGET, revision)
    return Target(Point(*row[:3]), row[3]) if row else None


async def _replace(connection: Connection, backup: Backup, agreed: Agreed, restored: Callable[[int], object]) -> None:
    """All but the COMMIT. Raises what the driver raises, and as ``Database.restore``."""
    manifest = backup.manifest
    await connection.execute(_WRITE)
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
    is_empty = not (known := await applied(connection))
    check_schema("postgres", known, older=True)
    await migrate(connection, migrations("postgres"))
    await connection.execute(_WRITE)  # A migration has limits of its own.
    await connection.execute(_NOBODY_COMMITS)
    before = None if is_empty else await _target(connection, manifest.revision)
    agreed(before)
    accepted = [row["store_id"] for row in await connection.fetch("SELECT store_id FROM accepted_stores")]
    for table in TABLES:
        await connection.execute(table.delete)
    for table, rows in _together(backup):
        await connection.copy_records_to_table(table.name, records=rows, columns=table.columns, timeout=STEP_SECONDS)
        restored(len(rows))
    if before is not None and before.point.store_id != manifest.store_id:
        accepted.append(before.point.store_id)
    await connection.executemany(ACCEPT, [(store_id,) for store_id in accepted])
    await connection.execute(SET_POINT, manifest.store_id, manifest.revision)
    await connection.execute(FORGET_ALL_NOTES)
    await _note(connection, manifest, RESTORED, None)
    check_restored(await _target(connection, manifest.revision), manifest)
    await connection.execute(_NEWS)


async def _note(connection: Connection, manifest: Manifest, place: str, size: int | None) -> None:
    """Raises what the driver raises, and as ``Database.note``."""
    values = (manifest.created_at, place, manifest.revision, size, manifest.store_id)
    check_noted(await connection.fetch(NOTE, *values))


def _together(backup: Backup) -> Iterator[tuple[Table, Sequence[Row]]]:
    """The rows in larger pieces: each is a round trip."""
    for table, chunks_of_table in groupby(backup, lambda chunk: chunk[0]):
        rows = chain.from_iterable(rows for _, rows in chunks_of_table)
        while piece := list(islice(rows, COPIED_ROWS)):
            yield table, piece

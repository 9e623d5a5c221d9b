"""The past of a PostgreSQL store."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from msgspec.structs import replace

from sampling.records import Change, Key
from storage.checksum import read_checksum
from storage.errors import RevisionUnknown
from storage.figures import Figures
from storage.history import LOGGED_BYTES, Difference, Differences, Flaws, LoggedChange, Revision, Wanted
from storage.interface import Head, Load, Point
from storage.log_rows import (
    DIFFERENCES,
    INCOMPLETE,
    REVISION,
    STATE_AT,
    UNLOGGED,
    difference,
    logged_change,
    logged_query,
)
from storage.postgres.connection import Connection, Connector, translated
from storage.postgres.figures import read_figures
from storage.postgres.reader import chunks
from storage.postgres.snapshots import Snapshots
from storage.rows import RowsLoad, change_of

HISTORY_SECONDS = 10.0
"""What one question, and each chunk of a long answer, may take."""

LOGGED_AT_ONCE = 25
"""Changes that are read before it is looked how long they are: each may have two texts of a mebibyte."""


class LogReader:
    """Asks the log. Every method raises StoreUnavailable and StoreUnusable, and RevisionUnknown."""

    def __init__(self, connector: Connector) -> None:
        self._snapshots = Snapshots(connector, HISTORY_SECONDS)

    def close(self) -> None:
        """End every connection, also under somebody who asks."""
        self._snapshots.close()

    async def logged(self, wanted: Wanted, limit: int) -> Sequence[LoggedChange]:
        """As ``History.logged``."""
        query, parameters = logged_query(wanted, limit)
        changes: list[LoggedChange] = []
        size = 0
        async with self._asking() as (connection, _):
            async for rows in chunks(connection, query, *parameters, at_once=LOGGED_AT_ONCE):
                for row in rows:
                    changes.append(logged_change(Revision(*row[:5]), row[5:]))
                    size += changes[-1].size
                    if size > LOGGED_BYTES:
                        return changes
        return changes

    async def revision(self, number: int) -> Revision:
        """As ``History.revision``."""
        async with self._asking() as (connection, _):
            revision, _ = await _revision(connection, number)
            return revision

    async def differences(self, before: int, after: int | None) -> Differences:
        """As ``History.differences``."""
        records: list[Difference] = []
        async with self._asking() as (connection, head):
            after = head.point.revision if after is None else after
            for number in (before, after):
                await _revision(connection, number)
            async for rows in chunks(connection, DIFFERENCES, min(before, after), max(before, after)):
                if before <= after:
                    records += [difference(*row) for row in rows]
                else:
                    records += [difference(kind, name, last, first) for kind, name, first, last in rows]
        return Differences(head.point, records)

    async def flaws(self, limit: int) -> Flaws:
        """As ``History.flaws``."""
        async with self._asking() as (connection, head):
            incomplete = await connection.fetch(INCOMPLETE, head.point.revision, limit)
            unlogged = await connection.fetch(UNLOGGED, head.point.revision, limit)
        return Flaws([number for (number,) in incomplete], [(Key(kind, name), number) for kind, name, number in unlogged])

    async def figures(self) -> Figures:
        """As ``Measured.figures``."""
        async with self._asking() as (connection, head):
            return await read_figures(connection, head)

    @asynccontextmanager
    async def state_at(self, revision: int) -> AsyncIterator[Load]:
        """As ``History.state_at``."""
        async with self._snapshots.open() as (connection, head):
            commit, checksum = await _revision(connection, revision)
            point = Point(head.point.store_id, revision, commit.commit_id)
            yield RowsLoad(replace(head, point=point, checksum=checksum), _records(connection, revision))

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[tuple[Connection, Head]]:
        """A snapshot, for a question that is answered at once."""
        with translated():
            async with asyncio.timeout(HISTORY_SECONDS), self._snapshots.open() as snapshot:
                yield snapshot


async def _revision(connection: Connection, number: int) -> tuple[Revision, int]:
    """A commit and its checksum."""
    with translated():
        row = await connection.fetchrow(REVISION, number)
    if row is None:
        raise RevisionUnknown(number)
    return Revision(*row[:5]), read_checksum(row[5])


async def _records(connection: Connection, revision: int) -> AsyncIterator[Sequence[Change]]:
    async for rows in chunks(connection, STATE_AT, revision):
        yield [change_of(*row) for row in rows]

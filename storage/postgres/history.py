"""The past of a PostgreSQL store. Every question has a connection of its own, so none delays the follower or a commit."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import asyncpg
from msgspec.structs import replace

from sampling.records import Change
from storage.checksum import read_checksum
from storage.errors import RevisionUnknown, StoreUnavailable
from storage.history import Difference, Differences, LoggedChange, Revision, Wanted
from storage.interface import Head, Load, Point
from storage.log_rows import DIFFERENCES, REVISION, STATE_AT, difference, logged_change, logged_query
from storage.postgres.connection import DRIVER_ERRORS, READ_SETTINGS, Connection, connect, translated
from storage.postgres.reader import chunks, read_head
from storage.rows import RowsLoad, change_of

HISTORY_SECONDS = 10.0
"""What one question, and each chunk of a long answer, may take."""

CONNECTIONS = 2
"""So many questions are asked at once; others wait."""

CLOSE_SECONDS = 1.0

_SETTINGS = READ_SETTINGS | {"statement_timeout": f"{HISTORY_SECONDS * 1000:.0f}"}


class LogReader:
    """Asks the log. Every method raises StoreUnavailable and StoreUnusable, and RevisionUnknown."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self._connections: set[Connection] = set()
        self._is_closed = False

    async def logged(self, wanted: Wanted, limit: int) -> Sequence[LoggedChange]:
        """As ``History.logged``."""
        query, parameters = logged_query(wanted, limit)
        changes: list[LoggedChange] = []
        async with self._asking() as (connection, _):
            async for rows in chunks(connection, query, *parameters):
                changes += [logged_change(Revision(*row[:5]), row[5:]) for row in rows]
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

    @asynccontextmanager
    async def state_at(self, revision: int) -> AsyncIterator[Load]:
        """As ``History.state_at``."""
        async with self._snapshot() as (connection, head):
            commit, checksum = await _revision(connection, revision)
            point = Point(head.point.store_id, revision, commit.commit_id)
            yield RowsLoad(replace(head, point=point, checksum=checksum), _records(connection, revision))

    def close(self) -> None:
        """End every connection, also under somebody who asks."""
        self._is_closed = True
        for connection in self._connections:
            connection.terminate()

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[tuple[Connection, Head]]:
        """A snapshot, for a question that is answered at once."""
        with translated():
            async with asyncio.timeout(HISTORY_SECONDS), self._snapshot() as snapshot:
                yield snapshot

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[tuple[Connection, Head]]:
        """A connection in a repeatable-read transaction, and its head."""
        async with AsyncExitStack() as stack:
            with translated():
                async with asyncio.timeout(HISTORY_SECONDS):
                    await stack.enter_async_context(self._turns)
                    connection = await stack.enter_async_context(self._connection())
                    await connection.transaction(isolation="repeatable_read", readonly=True).start()
                    head = await read_head(connection)
            yield connection, head

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """A new connection: to a server that takes writes, else to a standby. Raises what the driver raises."""
        try:
            connection = await connect(self._url, _SETTINGS, writable=True, query_seconds=HISTORY_SECONDS)
        except asyncpg.TargetServerAttributeNotMatched:
            connection = await connect(self._url, _SETTINGS, writable=False, query_seconds=HISTORY_SECONDS)
        self._connections.add(connection)
        try:
            if self._is_closed:
                raise StoreUnavailable("PostgreSQL: the store is closed")
            yield connection
        finally:
            self._connections.remove(connection)
            with suppress(*DRIVER_ERRORS):
                await connection.close(timeout=CLOSE_SECONDS)


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

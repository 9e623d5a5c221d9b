"""Connections to PostgreSQL for long reads, one for each, so that none delays the follower's questions or a commit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import asyncpg

from storage.errors import StoreUnavailable
from storage.interface import Head
from storage.postgres.connection import CLOSE_SECONDS, DRIVER_ERRORS, READ_LIMITS, Connection, Connector, translated
from storage.postgres.reader import ROWS_SECONDS, begin_snapshot

AT_ONCE = 2
"""So many connections are open at once; who wants another waits."""

_LIMITS = f"{READ_LIMITS}; SET LOCAL statement_timeout = '{ROWS_SECONDS:.0f}s'"


class Snapshots:
    """Opens connections, each in a transaction that sees one moment and ends with its caller.

    ``seconds`` is the limit for waiting, connecting and beginning; also for each query that has no limit of its own.
    """

    def __init__(self, connector: Connector, seconds: float) -> None:
        self._connector, self._seconds = connector, seconds
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._connections: set[Connection] = set()
        self._is_closed = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[Connection, Head]]:
        """A connection in a repeatable-read transaction, and the head that it sees.

        Raises:
            StoreUnavailable, StoreUnusable: there is none in time. What the body raises stays what it is.
        """
        async with AsyncExitStack() as stack:
            with translated():
                async with asyncio.timeout(self._seconds):
                    await stack.enter_async_context(self._turns)
                    connection = await stack.enter_async_context(self._connection())
                    head = await begin_snapshot(connection, _LIMITS)
            yield connection, head

    def close(self) -> None:
        """End every connection, also under somebody who reads. No other is opened."""
        self._is_closed = True
        for connection in self._connections:
            connection.terminate()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """To a server that takes writes, else to a standby. Raises what the driver raises, and StoreUnavailable."""
        try:
            connection = await self._connector.connect(writable=True, query_seconds=self._seconds)
        except asyncpg.TargetServerAttributeNotMatched:
            connection = await self._connector.connect(writable=False, query_seconds=self._seconds)
        self._connections.add(connection)
        try:
            if self._is_closed:
                raise StoreUnavailable("PostgreSQL: the store is closed")
            yield connection
        finally:
            self._connections.remove(connection)
            with suppress(*DRIVER_ERRORS):
                await connection.close(timeout=CLOSE_SECONDS)

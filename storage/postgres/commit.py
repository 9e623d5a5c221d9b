"""Commits to PostgreSQL: one transaction a batch, and what became of one whose answer was lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from storage.commit import BEFORE_DOUBT, Batch
from storage.errors import OutcomeUnknown, OutOfScope, OwnedByAnother, PointMismatch, StoreError, StoreUnavailable
from storage.interface import Committed, PoolState
from storage.postgres.connection import (
    DRIVER_ERRORS,
    AnyConnection,
    Connection,
    Connector,
    translated,
    translation,
)
from storage.postgres.reader import CHANNEL, read_head
from storage.postgres.write import BEGIN, LOCK, write

ROLLBACK_SECONDS = 0.4

ACCEPT_SECONDS = 2.0

_ACCEPT = f"""
WITH accepted AS (INSERT INTO accepted_stores (store_id) VALUES ($1) ON CONFLICT DO NOTHING)
SELECT pg_notify('{CHANNEL}', '')
"""  # noqa: S608 - put together from texts of this package

DOUBT_PAUSE_SECONDS = 0.05
"""Between two attempts to ask what became of a commit."""


class Writer:
    """Connections that commit, to a server that takes writes."""

    def __init__(self, connector: Connector, pool_min: int, pool_max: int) -> None:
        self._connector, self._pool_min, self._pool_max = connector, pool_min, pool_max
        self._opening = asyncio.Lock()
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._pending = 0
        self._is_closed = False

    @property
    def pool(self) -> PoolState:
        """The state of its connections; those that are being made count as none yet."""
        pool = self._pool
        if pool is None:
            return PoolState(0, 0, self._pool_max, self._pending)
        idle = pool.get_idle_size()
        return PoolState(pool.get_size() - idle, idle, self._pool_max, self._pending)

    async def open(self) -> "asyncpg.Pool[asyncpg.Record]":
        """The pool, connected on first use. Raises what the driver raises, and StoreUnavailable after ``close``."""
        async with self._opening:
            if self._is_closed:
                raise StoreUnavailable("PostgreSQL: the store is closed")
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    min_size=self._pool_min, max_size=self._pool_max, reset=_keep, connect=self._connect
                )
            return self._pool

    async def renew(self) -> None:
        """Let every connection be replaced when it is next used; nobody who commits is disturbed."""
        async with self._opening:
            if self._pool is not None:
                await self._pool.expire_connections()

    async def close(self) -> None:
        """End every connection, also under somebody who commits."""
        async with self._opening:
            self._is_closed = True
            if self._pool is not None:
                self._pool.terminate()

    async def commit(self, batch: Batch) -> Committed:
        """As ``Store.commit``, for a batch that was checked."""
        start = asyncio.get_running_loop().time()
        doubt_at, end = start + batch.seconds * BEFORE_DOUBT, start + batch.seconds
        try:
            async with self._connection(doubt_at) as connection:
                async with asyncio.timeout_at(doubt_at):
                    await write(connection, batch)
                if batch.is_revision:
                    await _end(connection, doubt_at)
        except _InDoubt as doubt:
            await self._find_out(batch, end, doubt.error)
        return Committed(batch.head, batch.changes)

    async def accept(self, store_id: str) -> None:
        """As ``Store.accept``."""
        end = asyncio.get_running_loop().time() + ACCEPT_SECONDS
        async with self._connection(end) as connection, asyncio.timeout_at(end):
            await connection.execute(BEGIN)
            await connection.execute(_ACCEPT, store_id)
            await connection.execute("COMMIT")

    async def _connect(self, *_: object, **__: object) -> Connection:
        """What the pool makes a connection by; it has its own arguments, and a limit for each use instead of each query."""
        return await self._connector.connect(writable=True, query_seconds=None)

    @asynccontextmanager
    async def _connection(self, until: float) -> AsyncIterator[AnyConnection]:
        """A connection of the pool. It goes back without a transaction, or closed."""
        with translated():
            async with asyncio.timeout_at(until):
                self._pending += 1
                try:
                    pool = await self.open()
                    connection = await pool.acquire()
                finally:
                    self._pending -= 1
            try:
                try:
                    yield connection
                except (PointMismatch, OwnedByAnother, OutOfScope):
                    await connection.execute("ROLLBACK", timeout=ROLLBACK_SECONDS)
                    raise
                if connection.is_in_transaction():
                    await connection.execute("ROLLBACK", timeout=ROLLBACK_SECONDS)
            except BaseException:
                with suppress(asyncpg.InterfaceError):  # The pool took it back when it broke.
                    connection.terminate()
                raise
            finally:
                # What the pool makes of a connection that broke just now does not change what was committed.
                with suppress(asyncpg.InterfaceError, asyncpg.InternalClientError):
                    await pool.release(connection)

    async def _find_out(self, batch: Batch, end: float, cause: Exception) -> None:
        """Return if the batch was committed although its answer was lost.

        Raises:
            StoreUnavailable: it was not, and never will be.
            OutcomeUnknown: that cannot be said in time.
        """
        found = None
        try:
            async with asyncio.timeout_at(end):
                while found is None:
                    found = await self._is_committed(batch)
        except (TimeoutError, StoreError) as error:
            raise OutcomeUnknown(batch.commit_id) from error
        if not found:
            raise StoreUnavailable(f"nothing was changed: {translation(cause)}") from cause

    async def _is_committed(self, batch: Batch) -> bool | None:
        """Waits for the counter row, which the old transaction holds until it ends. None: cannot be said now."""
        try:
            connection = await self._connector.connect(writable=True, query_seconds=batch.seconds)
            try:
                await connection.execute(f"{BEGIN}; {LOCK}")
                head = await read_head(connection, batch.head.point.revision)
            finally:
                connection.terminate()
        except DRIVER_ERRORS:
            await asyncio.sleep(DOUBT_PAUSE_SECONDS)
            return None
        if head.point.store_id != batch.head.point.store_id:  # Another database has its place: it knows nothing of ours.
            await asyncio.sleep(DOUBT_PAUSE_SECONDS)
            return None
        return head.commit_at_served == batch.commit_id


class _InDoubt(Exception):
    """The answer to a COMMIT was lost."""

    def __init__(self, error: Exception) -> None:
        self.error = error


async def _end(connection: AnyConnection, until: float) -> None:
    try:
        async with asyncio.timeout_at(until):
            await connection.execute("COMMIT")
    except DRIVER_ERRORS as error:
        raise _InDoubt(error) from error


async def _keep(_: object) -> None:
    """In place of the driver's reset, a round trip: no commit leaves anything behind in its session."""

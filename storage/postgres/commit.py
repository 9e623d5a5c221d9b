"""Commits to PostgreSQL: one transaction a batch, and what became of one whose answer was lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from storage.commit import Batch
from storage.errors import OutcomeUnknown, OwnedByAnother, PointMismatch, StoreError, StoreUnavailable
from storage.interface import Committed
from storage.postgres.connection import (
    CONNECT_SECONDS,
    DRIVER_ERRORS,
    WRITE_SETTINGS,
    AnyConnection,
    connect,
    translated,
    translation,
)
from storage.postgres.reader import read_head
from storage.postgres.write import BEGIN, LOCK, write

BEFORE_DOUBT = 0.75
"""The part of a batch's time after which an unanswered commit is given up. The rest is for learning what became of it."""

DOUBT_PAUSE_SECONDS = 0.05
"""Between two attempts to ask what became of a commit."""


class Writer:
    """Connections that commit, to a server that takes writes."""

    def __init__(self, url: str, pool_min: int, pool_max: int) -> None:
        self._url, self._pool_min, self._pool_max = url, pool_min, pool_max
        self._lock = asyncio.Lock()
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> "asyncpg.Pool[asyncpg.Record]":
        """The pool, connected on first use. Raises what the driver raises."""
        async with self._lock:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=self._pool_min,
                    max_size=self._pool_max,
                    reset=_keep,
                    timeout=CONNECT_SECONDS,
                    command_timeout=None,
                    server_settings=WRITE_SETTINGS,
                    target_session_attrs=SessionAttribute.read_write,
                )
            return self._pool

    async def close(self) -> None:
        async with self._lock:
            if self._pool is not None:
                self._pool.terminate()
                self._pool = None

    async def commit(self, batch: Batch) -> Committed:
        """As ``Store.commit``, for a batch that was checked."""
        start = asyncio.get_running_loop().time()
        doubt_at, end = start + batch.seconds * BEFORE_DOUBT, start + batch.seconds
        async with self._connection(doubt_at) as connection:
            with translated():
                async with asyncio.timeout_at(doubt_at):
                    await write(connection, batch)
            if batch.rows:
                try:
                    async with asyncio.timeout_at(doubt_at):
                        await connection.execute("COMMIT")
                except DRIVER_ERRORS as error:
                    connection.terminate()
                    await self._find_out(batch, end, error)
        return Committed(batch.head, batch.changes)

    @asynccontextmanager
    async def _connection(self, until: float) -> AsyncIterator[AnyConnection]:
        """A connection of the pool. It goes back without a transaction, or closed."""
        with translated():
            async with asyncio.timeout_at(until):
                pool = await self.open()
                connection = await pool.acquire()
        try:
            try:
                yield connection
            except (PointMismatch, OwnedByAnother):
                await _roll_back(connection)
                raise
            else:
                await _roll_back(connection)
        except BaseException:
            connection.terminate()
            raise
        finally:
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
            connection = await connect(self._url, WRITE_SETTINGS, writable=True, query_seconds=batch.seconds)
            try:
                await connection.execute(f"{BEGIN}; {LOCK}")
                head = await read_head(connection, batch.head.point.revision)
            finally:
                connection.terminate()
        except DRIVER_ERRORS:
            await asyncio.sleep(DOUBT_PAUSE_SECONDS)
            return None
        return head.commit_at_served == batch.commit_id


async def _keep(_: object) -> None:
    """In place of the driver's reset, a round trip: no commit leaves anything behind in its session."""


async def _roll_back(connection: AnyConnection) -> None:
    if connection.is_in_transaction():
        with translated():
            await connection.execute("ROLLBACK", timeout=1)

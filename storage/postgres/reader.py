"""The follower's own connection to PostgreSQL: it listens for commits, asks for the head and reads."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
from asyncpg.transaction import Transaction

from storage.checksum import read_checksum
from storage.errors import StoreUnavailable
from storage.interface import Head, Point
from storage.postgres.connection import READ_SETTINGS, AnyConnection, Connection, connect, translated
from storage.rows import CHUNK_ROWS

CHANNEL = "tracing_config"

HEAD_SECONDS = 2.0
"""For connecting, waiting for the connection and asking for the head."""

ROWS_SECONDS = 10.0
"""For each chunk of rows: the first may need the server to sort through many changes."""

STANDBY_SECONDS = 5.0
"""How long a standby, which cannot tell of commits, is read from before a server that can is looked for again."""

_HEAD = """
SELECT store.store_id, head.revision, head.commit_id, head.checksum,
    extract(epoch FROM clock_timestamp())::double precision, pg_is_in_recovery(),
    (SELECT served.commit_id FROM revisions AS served WHERE served.revision = $1::bigint),
    ARRAY(SELECT accepted_stores.store_id FROM accepted_stores)
FROM store JOIN revisions AS head ON head.revision = store.revision
"""


async def read_head(connection: AnyConnection, served: int | None = None) -> Head:
    """The newest commit that the connection's transaction sees. Raises what the driver raises, and StoreUnavailable."""
    row = await connection.fetchrow(_HEAD, served)
    if row is None:
        raise StoreUnavailable("PostgreSQL: the tables have no head; a restore in progress looks so")
    store_id, revision, commit_id, checksum, clock, in_recovery, commit_at_served, accepted = row
    point = Point(store_id, revision, commit_id)
    return Head(point, read_checksum(checksum), clock, in_recovery, commit_at_served, tuple(accepted))


async def begin_snapshot(connection: Connection) -> tuple[Transaction, Head]:
    """A repeatable-read transaction and the head that it sees. Raises as ``read_head``."""
    transaction = connection.transaction(isolation="repeatable_read", readonly=True)
    await transaction.start()
    return transaction, await read_head(connection)


async def chunks(
    connection: Connection, query: str, *arguments: object, at_once: int = CHUNK_ROWS
) -> AsyncIterator[Sequence[asyncpg.Record]]:
    """The rows of a long answer, within the connection's transaction. Raises StoreUnavailable and StoreUnusable."""
    with translated():
        cursor = await connection.cursor(query, *arguments)
        while rows := await cursor.fetch(at_once, timeout=ROWS_SECONDS):
            yield rows


class Reader:
    """One connection, for one caller at a time. A lost one is replaced when it is next used.

    It sets ``news`` at a commit anywhere, and when it is lost.
    """

    def __init__(self, url: str, news: asyncio.Event) -> None:
        self._url, self._news = url, news
        self._turn = asyncio.Lock()
        self._connection: Connection | None = None
        self._listens = False
        self._look_again_at = 0.0
        self._is_closed = False

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Connection]:
        """The connection. It is closed by any exception, so that it is never left in a transaction.

        Raises:
            StoreUnavailable, StoreUnusable: there is no connection in time. What the body raises stays what it is.
        """
        async with AsyncExitStack() as turn:
            with translated():
                async with asyncio.timeout(HEAD_SECONDS):
                    await turn.enter_async_context(self._turn)
                    connection = await self._connected()
            try:
                yield connection
            except BaseException:
                connection.terminate()
                raise

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[tuple[Connection, Head]]:
        """The connection in a repeatable-read transaction, and its head. Raises as ``use``."""
        async with self.use() as connection:
            with translated():
                async with asyncio.timeout(HEAD_SECONDS):
                    transaction, head = await begin_snapshot(connection)
            yield connection, head
            with translated():
                await transaction.commit()

    def close(self) -> None:
        """End the connection, also under somebody who uses it. It is not replaced any more."""
        self._is_closed = True
        if self._connection is not None:
            self._connection.terminate()

    async def _connected(self) -> Connection:
        self._check_not_closed()
        loop = asyncio.get_running_loop()
        if self._connection is not None:
            if not self._connection.is_closed() and (self._listens or loop.time() < self._look_again_at):
                return self._connection
            self._connection.terminate()
            self._connection = None
        try:
            connection = await connect(self._url, READ_SETTINGS, writable=True, query_seconds=HEAD_SECONDS)
            self._listens = True
        except asyncpg.TargetServerAttributeNotMatched:
            connection = await connect(self._url, READ_SETTINGS, writable=False, query_seconds=HEAD_SECONDS)
            self._listens = False
            self._look_again_at = loop.time() + STANDBY_SECONDS
        try:
            if self._listens:
                await connection.add_listener(CHANNEL, self._wake)
            connection.add_termination_listener(self._wake)
            self._check_not_closed()
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection
        return connection

    def _check_not_closed(self) -> None:
        if self._is_closed:
            raise StoreUnavailable("PostgreSQL: the store is closed")

    def _wake(self, *_: Any) -> None:
        self._news.set()

"""The follower's own connection to PostgreSQL: it listens for commits, asks for the head and reads."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg

from storage.checksum import read_checksum
from storage.errors import StoreUnavailable
from storage.interface import Head, Point
from storage.postgres.address import Address
from storage.postgres.connection import READ_LIMITS, AnyConnection, Connection, Connector, translated
from storage.rows import CHUNK_ROWS

CHANNEL = "tracing_config"

HEAD_SECONDS = 2.0
"""For connecting, waiting for the connection and asking for the head."""

ROWS_SECONDS = 10.0
"""For each chunk of rows: the first may need the server to sort through many changes."""

STANDBY_SECONDS = 5.0
"""How long a standby is read from before a server that takes writes is looked for again."""

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


async def begin_snapshot(connection: Connection, limits: str = READ_LIMITS) -> Head:
    """Begin a repeatable-read transaction; the head that it sees. Raises as ``read_head``."""
    await connection.execute(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {limits}")
    return await read_head(connection)


async def chunks(
    connection: Connection, query: str, *arguments: object, at_once: int = CHUNK_ROWS
) -> AsyncIterator[Sequence[asyncpg.Record]]:
    """The rows of a long answer, within the connection's transaction. Raises StoreUnavailable and StoreUnusable."""
    with translated():
        # Not ``connection.cursor``: it gives the statement a name, which behind a pooler another client may have given already.
        statement = await connection.prepare(query)
        cursor = await statement.cursor(*arguments)
        while rows := await cursor.fetch(at_once, timeout=ROWS_SECONDS):
            yield rows


class Reader:
    """One connection, for one caller at a time. A lost one, or one to an old address, is replaced when it is next used.

    It sets ``news`` at a commit anywhere (not behind a pooler), and when it is lost.
    """

    def __init__(self, connector: Connector, news: asyncio.Event) -> None:
        self._connector, self._news = connector, news
        self._turn = asyncio.Lock()
        self._connection: Connection | None = None
        self._made_by: Address | None = None
        self._look_again_at = math.inf
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
                    head = await begin_snapshot(connection)
            yield connection, head
            with translated():
                await connection.execute("COMMIT")

    def close(self) -> None:
        """End the connection, also under somebody who uses it. It is not replaced any more."""
        self._is_closed = True
        if self._connection is not None:
            self._connection.terminate()

    async def _connected(self) -> Connection:
        self._check_not_closed()
        now = asyncio.get_running_loop().time()
        if self._connection is not None:
            is_current = self._made_by is self._connector.address and now < self._look_again_at
            if is_current and not self._connection.is_closed():
                return self._connection
            self._connection.terminate()
            self._connection = None
        self._made_by = self._connector.address
        self._look_again_at = math.inf
        try:
            connection = await self._connector.connect(writable=True, query_seconds=HEAD_SECONDS, look=True)
        except asyncpg.TargetServerAttributeNotMatched:
            connection = await self._connector.connect(writable=False, query_seconds=HEAD_SECONDS, look=True)
            self._look_again_at = now + STANDBY_SECONDS
        try:
            # A standby cannot tell of commits. Behind a pooler the session that would listen may be anybody's next.
            if self._look_again_at == math.inf and not self._connector.is_pooled:
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

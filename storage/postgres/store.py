"""The store on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from sampling.records import Change
from storage.commit import Batch
from storage.errors import StoreUnavailable
from storage.figures import Figures
from storage.history import Differences, Flaws, LoggedChange, Revision, Wanted
from storage.interface import Committed, Head, Load, News, PoolState, Terms, Write
from storage.migrate import migrations
from storage.pacing import paced
from storage.postgres.alone import alone
from storage.postgres.commit import Writer
from storage.postgres.connection import Connection, Connector, translated
from storage.postgres.history import LogReader
from storage.postgres.migrate import migrate
from storage.postgres.reader import HEAD_SECONDS, Reader, chunks, read_head
from storage.postgres.snapshots import Snapshots
from storage.rows import EVERYTHING, RowsLoad, change_of

_CHANGED_SINCE = """
WITH changed AS MATERIALIZED (SELECT DISTINCT kind, key FROM changes WHERE revision > $1::bigint)
SELECT kind, key, service.revision, service.commit_id, service.record
FROM changed LEFT JOIN tracing_configurations AS service ON service.service_name = key
WHERE kind = 'service'
UNION ALL
SELECT kind, key, policy.revision, policy.commit_id, policy.record
FROM changed LEFT JOIN sampling_policies AS policy
    ON policy.name = CASE kind WHEN 'boost' THEN 'boost:' || key ELSE key END
WHERE kind <> 'service'
"""


class _Parts(NamedTuple):
    reader: Reader
    writer: Writer
    loads: Snapshots
    log: LogReader


class PostgresStore:
    """A ``storage.history.LoggedStore`` on PostgreSQL 13 or newer.

    ``url``: see ``storage.postgres.address.Address``. One connection reads and listens;
    ``pool_min`` to ``pool_max`` others commit; at most two more are opened for loads and two to ask for the past, and one for
    each name under which this store is alone.

    Raises:
        ValueError: the address is none, or names files that cannot be used; the message does not repeat it.
    """

    name = "PostgreSQL"

    def __init__(self, url: str, pool_min: int = 1, pool_max: int = 10) -> None:
        self._connector = Connector(url)
        self._pool_min, self._pool_max = pool_min, pool_max
        self._news = asyncio.Event()
        self._opened: _Parts | None = None

    @property
    def address(self) -> str:
        return self._connector.address.public

    @property
    def pool(self) -> PoolState:
        return PoolState(0, 0, self._pool_max, 0) if self._opened is None else self._opened.writer.pool

    async def use(self, url: str) -> None:
        """Reach the database by another address from now on, if it can be reached by it now.

        Connections by the old address are replaced when they are next used; nobody who uses one is disturbed.

        Raises:
            ValueError: the address is none, or names files that cannot be used; the message does not repeat it.
            StoreUnavailable, StoreUnusable: there is no connection by it. The old address stays in use.
        """
        other = Connector(url)
        with translated():
            async with asyncio.timeout(HEAD_SECONDS):
                connection = await other.connect(writable=False, query_seconds=HEAD_SECONDS, look=True)
        connection.terminate()
        self._connector.take_over(other)
        if self._opened is not None:
            await self._opened.writer.renew()

    async def open(self, *, create: bool = True) -> None:
        await self.close()
        connector = self._connector
        reader, writer = Reader(connector, self._news), Writer(connector, self._pool_min, self._pool_max)
        try:
            with translated():
                async with reader.use() as connection:
                    await migrate(connection, migrations("postgres"), create=create)
                    head = await read_head(connection)
                if not head.in_recovery:
                    async with asyncio.timeout(HEAD_SECONDS):
                        await writer.open()
        except BaseException:
            reader.close()
            await writer.close()
            raise
        self._opened = _Parts(reader, writer, Snapshots(connector, HEAD_SECONDS), LogReader(connector))

    async def close(self) -> None:
        if self._opened is not None:
            parts, self._opened = self._opened, None
            parts.reader.close()
            parts.loads.close()
            parts.log.close()
            await parts.writer.close()

    async def head(self, served: int | None = None) -> Head:
        reader = self._parts().reader
        with translated():
            async with asyncio.timeout(HEAD_SECONDS), reader.use() as connection:
                return await read_head(connection, served)

    async def changes_since(self, revision: int) -> News:
        async with self._parts().reader.snapshot() as (connection, head):
            changes: list[Change] = []
            async for chunk in _records(connection, _CHANGED_SINCE, revision):
                changes.extend(chunk)
            return News(head, changes)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Load]:
        async with self._parts().loads.open() as (connection, head):
            yield RowsLoad(head, _records(connection, EVERYTHING))

    async def commit(self, writes: Sequence[Write], terms: Terms) -> Committed:
        writer = self._parts().writer
        batch = Batch(writes, terms)
        await paced(batch.check())
        return await writer.commit(batch)

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[bool]:
        async with alone(self._connector, name) as is_alone:
            yield is_alone

    async def accept(self, store_id: str) -> None:
        await self._parts().writer.accept(store_id)

    async def logged(self, wanted: Wanted, limit: int) -> Sequence[LoggedChange]:
        return await self._parts().log.logged(wanted, limit)

    async def revision(self, number: int) -> Revision:
        return await self._parts().log.revision(number)

    async def differences(self, before: int, after: int | None) -> Differences:
        return await self._parts().log.differences(before, after)

    async def flaws(self, limit: int) -> Flaws:
        return await self._parts().log.flaws(limit)

    async def figures(self) -> Figures:
        return await self._parts().log.figures()

    @asynccontextmanager
    async def state_at(self, revision: int) -> AsyncIterator[Load]:
        async with self._parts().log.state_at(revision) as load:
            yield load

    async def wait_for_news(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    def _parts(self) -> _Parts:
        if self._opened is None:
            raise StoreUnavailable("PostgreSQL: the store is not open")
        return self._opened


async def _records(connection: Connection, query: str, *arguments: object) -> AsyncIterator[Sequence[Change]]:
    async for rows in chunks(connection, query, *arguments):
        yield [change_of(*row) for row in rows]

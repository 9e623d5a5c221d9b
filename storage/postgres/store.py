"""The store on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from sampling.records import Change, Key
from storage.commit import Batch
from storage.errors import StoreUnavailable
from storage.interface import Committed, Head, Load, News, Write
from storage.migrate import migrations
from storage.pacing import paced
from storage.postgres.commit import Writer
from storage.postgres.connection import Connection, public_address, translated
from storage.postgres.migrate import migrate
from storage.postgres.reader import HEAD_SECONDS, ROWS_SECONDS, Reader, read_head
from storage.rows import CHUNK_ROWS, EVERYTHING, RowsLoad, change_of

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


class PostgresStore:
    """A ``storage.interface.Store`` on PostgreSQL 13 or newer.

    ``url``: ``postgresql://user:password@host:port/database``, also with several hosts. One connection reads and listens;
    ``pool_min`` to ``pool_max`` others commit.

    Raises:
        ValueError: the address is none; the message does not repeat it.
    """

    name = "PostgreSQL"

    def __init__(self, url: str, pool_min: int = 1, pool_max: int = 10) -> None:
        self.address = public_address(url)
        self._url, self._pool_min, self._pool_max = url, pool_min, pool_max
        self._news = asyncio.Event()
        self._opened: tuple[Reader, Writer] | None = None

    async def open(self, *, create: bool = True) -> None:
        await self.close()
        reader, writer = Reader(self._url, self._news), Writer(self._url, self._pool_min, self._pool_max)
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
        self._opened = reader, writer

    async def close(self) -> None:
        if self._opened is not None:
            (reader, writer), self._opened = self._opened, None
            reader.close()
            await writer.close()

    async def head(self, served: int | None = None) -> Head:
        reader, _ = self._parts()
        with translated():
            async with asyncio.timeout(HEAD_SECONDS), reader.use() as connection:
                return await read_head(connection, served)

    async def changes_since(self, revision: int) -> News:
        reader, _ = self._parts()
        async with reader.snapshot() as (connection, head):
            changes: list[Change] = []
            async for chunk in _chunks(connection, _CHANGED_SINCE, revision):
                changes.extend(chunk)
            return News(head, changes)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Load]:
        reader, _ = self._parts()
        async with reader.snapshot() as (connection, head):
            yield RowsLoad(head, _chunks(connection, EVERYTHING))

    async def commit(
        self,
        writes: Sequence[Write],
        *,
        actor: str,
        reason: str,
        expected: Mapping[Key, str] = {},
        owner: str | None = None,
        takeover: bool = False,
        store_id: str | None = None,
    ) -> Committed:
        _, writer = self._parts()
        batch = Batch(writes, actor=actor, reason=reason, expected=expected, owner=owner, takeover=takeover, store_id=store_id)
        await paced(batch.check())
        return await writer.commit(batch)

    async def wait_for_news(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    def _parts(self) -> tuple[Reader, Writer]:
        if self._opened is None:
            raise StoreUnavailable("PostgreSQL: the store is not open")
        return self._opened


async def _chunks(connection: Connection, query: str, *arguments: object) -> AsyncIterator[Sequence[Change]]:
    with translated():
        cursor = await connection.cursor(query, *arguments)
        while rows := await cursor.fetch(CHUNK_ROWS, timeout=ROWS_SECONDS):
            yield [change_of(*row) for row in rows]

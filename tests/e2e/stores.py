"""A replica on each kind of store, and that store as another process sees it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from sampling.records import Key, Stored
from storage.history import LoggedStore
from storage.postgres import PostgresStore
from storage.sqlite import SqliteStore
from tests.e2e.replica import Replica
from tests.services.postgres import PostgresServer

STORES = ("sqlite", "postgres")


@contextmanager
def replica_on(store: str, folder: Path, request: pytest.FixtureRequest, **settings: str) -> Iterator[Replica]:
    """A replica that runs on an empty store of this kind; for fixtures that live as long as a module."""
    if store == "sqlite":
        with Replica(folder, **settings) as replica:
            yield replica
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    database = asyncio.run(server.create_database())
    with Replica(folder, TRACING_CONFIG_DATABASE_URL=server.url(database), **settings) as replica:
        yield replica
    asyncio.run(server.drop_database(database))


@asynccontextmanager
async def store_of(replica: Replica) -> AsyncIterator[LoggedStore]:
    """The replica's store, opened here too."""
    url = replica.environment.get("TRACING_CONFIG_DATABASE_URL")
    store = PostgresStore(url) if url else SqliteStore(replica.data_dir / "tracing-config.db")
    await store.open(create=False)
    try:
        yield store
    finally:
        await store.close()


async def records_of(replica: Replica) -> dict[Key, Stored]:
    """Every record in the tables."""
    async with store_of(replica) as store, store.load() as load:
        return {change.key: change.record async for chunk in load for change in chunk if change.record is not None}

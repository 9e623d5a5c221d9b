"""Every test of the stores' contract runs on each of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from storage.history import LoggedStore
from tests.contract.databases import Database, PostgresDatabase, SqliteDatabase
from tests.services.postgres import PostgresServer

OpenStore = Callable[[], Awaitable[LoggedStore]]


@pytest.fixture(scope="session")
def shared_url(postgres: PostgresServer) -> str:
    """A PostgreSQL database that the tests use in turn: emptying one takes 15 ms, making one up to half a second."""
    return postgres.url(asyncio.run(postgres.create_database()))


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, shared_url: str) -> Database:
    """An empty database."""
    if request.param == "sqlite":
        return SqliteDatabase(tmp_path / "data" / "tracing-config.db")
    database = PostgresDatabase(shared_url)
    await database.ask("DROP SCHEMA public CASCADE")
    await database.ask("CREATE SCHEMA public")
    return database


@pytest.fixture
async def open_store(database: Database) -> AsyncIterator[OpenStore]:
    """Opens one more store on the database, as another replica would."""
    stores = []

    async def open_store() -> LoggedStore:
        store = database.new_store()
        stores.append(store)
        await store.open()
        return store

    yield open_store
    for store in stores:
        await store.close()


@pytest.fixture
async def store(open_store: OpenStore) -> LoggedStore:
    """An open store on the database."""
    return await open_store()

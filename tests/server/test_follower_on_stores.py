"""The follower on the real stores."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from storage.interface import Terms, Write
from storage.postgres import PostgresStore
from tests.contract.databases import Database, PostgresDatabase, SqliteDatabase
from tests.server.following import commit, following, service
from tests.storage.first_schema import backup
from tests.waiting import until


async def test_with_a_tick_of_a_minute_a_commit_elsewhere_is_served_within_a_second_by_its_notification(
    postgres_url: str,
) -> None:
    writer, reader = PostgresStore(postgres_url), PostgresStore(postgres_url)
    await writer.open()
    try:
        async with following(reader, tick=60) as replica:
            await until(lambda: replica.answers.ready)
            for rate in (0.25, 0.5, 0.75):
                point = await commit(writer, service("a", rate))
                async with asyncio.timeout(1):
                    assert await replica.served.reached(point, 1)
                assert replica.rate("a") == rate
    finally:
        await writer.close()
        await reader.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str) -> Database:
    """An empty database."""
    return SqliteDatabase(tmp_path / "store.db") if request.param == "sqlite" else PostgresDatabase(postgres_url)


async def test_an_import_by_another_process_is_served_whole(database: Database) -> None:
    writer, reader = database.new_store(), database.new_store()
    await writer.open()
    try:
        async with following(reader) as replica:
            await until(lambda: replica.answers.ready)
            await commit(writer, *(service(f"s{number}", 0.5) for number in range(2000)))
            await until(lambda: replica.rate("s0") == 0.5)
            assert replica.rate("s1999") == 0.5
            assert len(replica.served.catalog.records("service")) == 2000
    finally:
        await writer.close()
        await reader.close()


async def restore_first_schema(database: Database, store_id: str, write: Write) -> None:
    """Put a backup that the first program made in the place of what is there, in one transaction."""
    if isinstance(database, SqliteDatabase):
        with closing(sqlite3.connect(":memory:")) as source, closing(sqlite3.connect(database.path)) as target:
            source.executescript(backup("sqlite", store_id, write))
            source.backup(target)
        return
    assert isinstance(database, PostgresDatabase)
    connection = await asyncpg.connect(database.url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public;" + backup("postgres", store_id, write))
    await connection.close()


async def test_a_backup_of_an_older_schema_that_is_restored_under_a_running_replica_is_followed(database: Database) -> None:
    store = database.new_store()
    try:
        async with following(store) as replica:
            await until(lambda: replica.answers.ready)
            for rate in (0.25, 0.5):
                await replica.follower.commit([service("a", rate)], Terms(actor="test"))
            assert replica.rate("a") == 0.5
            at = replica.served.point
            assert at is not None
            await restore_first_schema(database, at.store_id, service("a", 0.125))
            await until(lambda: replica.rate("a") == 0.125)
            await until(lambda: replica.follower.problem is None)
            assert replica.lost == [at]
            committed, served = await replica.follower.commit([service("a", 0.75)], Terms(actor="test"))
            assert (committed.head.point.revision, served, replica.rate("a")) == (2, True, 0.75)
    finally:
        await store.close()

"""The schema's history, on both products."""

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pytest

from sampling.records import SILENT_DEFAULT, Change, Key, Stored, encode_record
from storage.checksum import checksum_of
from storage.errors import StoreUnusable
from storage.history import Difference, Wanted
from storage.migrate import Migration, migrations
from storage.postgres.connection import Connector, translated
from storage.postgres.migrate import migrate as migrate_postgres
from storage.sqlite.connection import Connection
from storage.sqlite.connection import translated as sqlite_translated
from storage.sqlite.migrate import migrate as migrate_sqlite
from tests.contract.databases import Database, PostgresDatabase, SqliteDatabase
from tests.contract.writes import commit, deletion, everything, service
from tests.storage.first_schema import one_commit, stored

OURS = len(migrations("sqlite"))
NEXT = Migration(OURS + 1, "next", "CREATE TABLE two (x integer);\nINSERT INTO two VALUES (1);\n", oldest_program=1)
BREAKING = NEXT._replace(oldest_program=OURS + 1)
BROKEN = NEXT._replace(sql=NEXT.sql + "INSERT INTO missing VALUES (1);\n")


class Migrated(ABC):
    """One product, and what a program that knows other migrations would do to it."""

    product: str
    database: Database

    @abstractmethod
    async def migrate(self, known: Sequence[Migration]) -> None: ...

    async def tables(self) -> set[str]:
        return {name for name in ("store", "two") if await self._has(name)}

    async def _has(self, table: str) -> bool:
        try:
            await self.database.ask(f"SELECT 1 FROM {table}")
        except (sqlite3.OperationalError, asyncpg.UndefinedTableError):
            return False
        return True


class MigratedSqlite(Migrated):
    product = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = SqliteDatabase(path)

    async def migrate(self, known: Sequence[Migration]) -> None:
        connection = Connection(self.path)
        try:
            with sqlite_translated(self.path):
                connection.open()
                migrate_sqlite(connection, known)
        finally:
            connection.close()


class MigratedPostgres(Migrated):
    product = "postgres"

    def __init__(self, url: str) -> None:
        self.url = url
        self.database = PostgresDatabase(url)

    async def migrate(self, known: Sequence[Migration]) -> None:
        with translated():
            connection = await Connector(self.url).connect(writable=True, query_seconds=10)
            try:
                await migrate_postgres(connection, known)
            finally:
                await connection.close()


@pytest.fixture(params=["sqlite", "postgres"])
async def migrated(request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str) -> Migrated:
    """An empty database."""
    return MigratedSqlite(tmp_path / "file.db") if request.param == "sqlite" else MigratedPostgres(postgres_url)


@pytest.mark.parametrize("product", ["sqlite", "postgres"])
def test_migrations_are_numbered_without_gaps(product: str) -> None:
    known = migrations(product)
    assert [migration.number for migration in known] == list(range(1, len(known) + 1))
    assert all(migration.name and 1 <= migration.oldest_program <= migration.number for migration in known)


def test_both_products_have_the_same_migrations() -> None:
    sqlite, postgres = migrations("sqlite"), migrations("postgres")
    assert [(one.number, one.name, one.oldest_program) for one in sqlite] == [
        (one.number, one.name, one.oldest_program) for one in postgres
    ]


@pytest.mark.parametrize("product", ["sqlite", "postgres"])
def test_the_first_migration_holds_the_silent_default_and_its_checksum(product: str) -> None:
    first = migrations(product)[0].sql
    checksum = checksum_of([Change(Key("policy", "default"), Stored(0, "", b""))])
    assert f"'{encode_record(SILENT_DEFAULT).decode()}'" in first
    assert f"'{checksum:016x}'" in first


async def test_a_database_is_brought_up_to_date_once(migrated: Migrated) -> None:
    known = [*migrations(migrated.product), NEXT]
    await migrated.migrate(known[:1])
    store_id = await migrated.database.ask("SELECT store_id FROM store")
    for _ in range(2):
        await migrated.migrate(known)
    assert await migrated.database.ask("SELECT store_id FROM store") == store_id
    assert await migrated.database.ask("SELECT x FROM two") == [(1,)]
    rows = await migrated.database.ask("SELECT number, name, checksum, oldest_program FROM schema_migrations ORDER BY number")
    assert rows == [(one.number, one.name, one.checksum, one.oldest_program) for one in known]


async def test_a_migration_that_fails_leaves_nothing_and_can_be_mended(migrated: Migrated) -> None:
    known = migrations(migrated.product)
    with pytest.raises(StoreUnusable, match="missing"):
        await migrated.migrate([*known, BROKEN])
    assert await migrated.tables() == {"store"}
    await migrated.migrate([*known, NEXT])
    assert await migrated.tables() == {"store", "two"}


async def test_a_program_that_was_rolled_back_starts_on_a_schema_that_allows_it(migrated: Migrated) -> None:
    known = migrations(migrated.product)
    await migrated.migrate([*known, NEXT])
    await migrated.migrate(known)
    store = migrated.database.new_store()
    await store.open()
    await store.close()


async def test_a_program_that_is_too_old_is_refused(migrated: Migrated) -> None:
    known = migrations(migrated.product)
    await migrated.migrate([*known, BREAKING])
    store = migrated.database.new_store()
    with pytest.raises(
        StoreUnusable, match=f"needs a program that knows schema {OURS + 1}; this one knows {OURS}: start a newer"
    ):
        await store.open()
    await store.close()


async def test_a_migration_of_another_text_is_refused(migrated: Migrated) -> None:
    known = migrations(migrated.product)
    await migrated.migrate([*known, NEXT])
    with pytest.raises(StoreUnusable, match=f"schema {OURS + 1} was made by another text"):
        await migrated.migrate([*known, NEXT._replace(sql=NEXT.sql + "\n")])


async def test_a_database_of_the_first_program_tells_of_its_past_once_it_is_opened(migrated: Migrated) -> None:
    await migrated.migrate(migrations(migrated.product)[:1])
    write = service("a")
    for statement in one_commit(write):
        await migrated.database.ask(statement)

    store = migrated.database.new_store()
    await store.open(create=False)
    head = await store.head()
    before = await everything(store)
    assert before[write.key] == stored(write)
    assert head.checksum == checksum_of(Change(key, record) for key, record in before.items())
    assert (head.point.revision, head.accepted) == (1, ())
    [change] = await store.logged(Wanted(name="a"), 10)
    assert (change.revision, change.after) == (await store.revision(1), write.body)
    assert (await store.differences(0, None)).records == [Difference(write.key, None, write.body)]
    await store.accept("0" * 32)
    assert (await commit(store, deletion(write))).head.point.revision == 2
    async with store.state_at(1) as load:
        assert {each.key: each.record async for chunk in load for each in chunk} == before
    await store.close()
    # The first program, rolled back to, runs on it.
    await migrated.migrate(migrations(migrated.product)[:1])


async def test_tables_of_another_program_are_not_touched(migrated: Migrated) -> None:
    await migrated.database.ask("CREATE TABLE tracing_configurations (x integer)")
    store = migrated.database.new_store()
    with pytest.raises(StoreUnusable, match=r"tracing_configurations.*already exists"):
        await store.open()
    await store.close()
    assert await migrated.tables() == set()
    assert await migrated.database.ask("SELECT x FROM tracing_configurations") == []


async def test_replicas_that_start_at_once_make_one_history(migrated: Migrated) -> None:
    stores = [migrated.database.new_store() for _ in range(6)]
    await asyncio.gather(*(store.open() for store in stores))
    heads = await asyncio.gather(*(store.head() for store in stores))
    assert len({head.point for head in heads}) == 1
    for store in stores:
        await store.close()


async def test_databases_made_apart_are_different_histories(tmp_path: Path, postgres_url: str) -> None:
    points = []
    for database in (SqliteDatabase(tmp_path / "a"), SqliteDatabase(tmp_path / "b"), PostgresDatabase(postgres_url)):
        store = database.new_store()
        await store.open()
        points.append((await store.head()).point)
        await store.close()
    assert len({point.store_id for point in points}) == 3
    assert len({point.commit_id for point in points}) == 3

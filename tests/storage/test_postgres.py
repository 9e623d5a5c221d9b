"""What is special about the store on PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from sampling.records import Change, Key
from storage.checksum import checksum_of
from storage.errors import OutcomeUnknown, StoreUnavailable, StoreUnusable
from storage.interface import Committed, Head
from storage.migrate import migrations
from storage.postgres import PostgresStore
from tests.contract.databases import PostgresDatabase
from tests.contract.writes import DEFAULT, DEFAULT_BODY, bodies, commit, everything, service
from tests.services.postgres import PostgresServer

# From the operations guide, as written there.
LOOK_UP = "SELECT * FROM tracing_configurations WHERE service_name = 'user-management' AND enabled = true"
GROWTH = """
-- Estimate future storage needs
WITH monthly_growth AS (
    SELECT 
        DATE_TRUNC('month', created_at) as month,
        COUNT(*) as records
    FROM tracing_configurations
    WHERE created_at >= NOW() - INTERVAL '6 months'
    GROUP BY DATE_TRUNC('month', created_at)
    ORDER BY month
)
SELECT 
    month,
    records,
    LAG(records) OVER (ORDER BY month) as prev_month,
    (records - LAG(records) OVER (ORDER BY month)) as growth
FROM monthly_growth;
"""  # noqa: W291
MAINTENANCE = """
  VACUUM ANALYZE tracing_configurations;
  VACUUM ANALYZE sampling_policies;
  REINDEX TABLE tracing_configurations;
"""

SETTINGS = ("synchronous_commit", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_isolation")
NOTE_SETTINGS = f"""
CREATE TABLE noted (name text, setting text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO noted SELECT name, current_setting(name) FROM unnest('{{{",".join(SETTINGS)}}}'::text[]) AS name;
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT ON revisions FOR EACH ROW EXECUTE FUNCTION note();
"""


@pytest.fixture
async def database(postgres_url: str) -> PostgresDatabase:
    return PostgresDatabase(postgres_url)


async def explain(database: PostgresDatabase) -> str:
    return "\n".join(row[0] for row in await database.ask(f"EXPLAIN {LOOK_UP}"))


async def test_the_guides_look_up_uses_the_partial_index_and_its_sql_runs_as_written(
    database: PostgresDatabase,
) -> None:
    store = database.new_store()
    await store.open()
    many = [service(f"service-{number}", enabled=number % 10 > 0) for number in range(9_999)]
    await commit(store, *many, service("user-management"))
    await store.close()
    index = "Index Scan using idx_tracing_config_service_enabled"
    assert index in await explain(database)
    await database.ask("ANALYZE tracing_configurations")
    assert index in await explain(database)
    for statement in MAINTENANCE.strip().splitlines():
        await database.ask(statement)
    assert index in await explain(database)
    [found] = await database.ask(LOOK_UP)
    assert found[0] == "user-management"
    [(_, records, previous, growth)] = await database.ask(GROWTH)
    assert (records, previous, growth) == (10_000, None, None)


async def test_policies_have_the_guides_index(database: PostgresDatabase) -> None:
    store = database.new_store()
    await store.open()
    await store.close()
    [(definition,)] = await database.ask(
        "SELECT indexdef FROM pg_indexes WHERE indexname = 'idx_sampling_policies_type_enabled'"
    )
    assert definition.endswith("(policy_type, enabled, priority) WHERE enabled")


@pytest.mark.parametrize("size", [1, 1_500])
async def test_a_session_that_commits_is_durable_and_cannot_hold_up_others(database: PostgresDatabase, size: int) -> None:
    store = database.new_store()
    await store.open()
    for statement in NOTE_SETTINGS.strip().split(";\n\n"):
        await run(database, statement)
    [(name,)] = await database.ask("SELECT current_database()")
    await run(
        database,
        f'ALTER DATABASE "{name}" SET synchronous_commit = off;'
        f'ALTER DATABASE "{name}" SET default_transaction_isolation = serializable',
    )
    await store.close()
    await store.open()
    await commit(store, *(service(f"s{number}") for number in range(size)))
    await store.close()
    noted = dict(await database.ask("SELECT name, setting FROM noted"))
    assert noted == {
        "synchronous_commit": "on",
        "lock_timeout": "1s" if size == 1 else "10s",
        "idle_in_transaction_session_timeout": "1500ms" if size == 1 else "10s",
        "transaction_isolation": "read committed",
    }


async def run(database: PostgresDatabase, script: str) -> None:
    connection = await asyncpg.connect(database.url)
    await connection.execute(script)
    await connection.close()


async def test_a_commit_or_an_acceptance_elsewhere_wakes_whoever_waits(database: PostgresDatabase) -> None:
    here, elsewhere = database.new_store(), database.new_store()
    await here.open()
    await elsewhere.open()
    for number in range(3):
        for news in (commit(elsewhere, service("a", number / 10)), elsewhere.accept(str(number) * 32)):
            waiting = asyncio.create_task(here.wait_for_news(60))
            await news
            await asyncio.wait_for(waiting, 10)
    await here.close()
    await elsewhere.close()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://me:secret@db:5432/tracing", "postgresql://db:5432/tracing"),
        ("postgres://db/tracing?sslmode=require", "postgresql://db/tracing"),
        ("postgresql://me:secret@a:1,b:2/tracing", "postgresql://a:1,b:2/tracing"),
        ("postgresql://me:s%40c%2Fret@[::1]:5432/tracing", "postgresql://[::1]:5432/tracing"),
        ("postgresql://db/tracing?user=me&password=secret", "postgresql://db/tracing"),
        ("postgresql:///tracing?host=/run/postgresql", "postgresql:///run/postgresql/tracing"),
    ],
)
def test_an_address_names_hosts_and_database_only(url: str, address: str) -> None:
    assert PostgresStore(url).address == address


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:sec/ret@db/tracing",
        "postgresql://me:sec?ret@db/tracing",
        "postgresql://me:12?34@db/tracing",
        "postgresql://me:sec#ret@db/tracing",
        "postgresql://me:12#34@db/tracing",
        "postgresql://me:secret@db:port/tracing",
        "postgresql://me:secret@db:65536/tracing",
        "postgresql://me:secret@[db/tracing",
        "mysql://me:secret@db/tracing",
        "secret",
        "",
    ],
)
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="must look like") as caught:
        PostgresStore(url)
    assert "sec" not in str(caught.value)
    assert "12" not in str(caught.value)


async def refusal(url: str) -> str:
    """Why a store cannot be opened here."""
    store = PostgresStore(url)
    with pytest.raises(StoreUnusable) as caught:
        await store.open()
    await store.close()
    return str(caught.value)


async def test_what_only_a_person_can_mend_is_told_with_the_cure(postgres: PostgresServer, postgres_url: str) -> None:
    assert "create the database" in await refusal(postgres.url("missing"))
    database = PostgresDatabase(postgres_url)
    await run(database, "DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN")
    await run(database, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    assert "CREATE on the schema" in await refusal(postgres_url.replace("postgres@", "stranger@"))
    assert "ENCODING 'UTF8'" in await refusal(await latin_database(postgres))
    await run(database, "DROP ROLE stranger")


async def latin_database(postgres: PostgresServer) -> str:
    await run(
        PostgresDatabase(postgres.url()),
        "DROP DATABASE IF EXISTS latin",
    )
    await run(
        PostgresDatabase(postgres.url()),
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
    )
    return postgres.url("latin")


async def test_tables_that_were_dropped_are_told_of(database: PostgresDatabase) -> None:
    store = database.new_store()
    await store.open()
    await run(database, "DROP TABLE revisions")
    with pytest.raises(StoreUnusable, match="a restore in progress looks so"):
        await store.head()
    with pytest.raises(StoreUnusable, match="a restore in progress looks so"):
        await commit(store, service("a"))
    await store.close()


async def test_a_backup_restored_in_one_transaction_is_read_by_open_connections(database: PostgresDatabase) -> None:
    store = database.new_store()
    await store.open()
    before = await commit(store, service("a"))
    await bodies(store)
    await store.changes_since(0)
    restored = "DROP SCHEMA public CASCADE; CREATE SCHEMA public;" + "".join(one.sql for one in migrations("postgres"))
    await run(database, restored)
    head = await store.head(1)
    assert (head.point.revision, head.commit_at_served) == (0, None)
    assert head.point.store_id != before.head.point.store_id
    assert await bodies(store) == {DEFAULT: DEFAULT_BODY}
    await commit(store, service("b"))
    assert [change.key.name for change in (await store.changes_since(0)).changes] == ["b"]
    await store.close()


async def test_connections_that_were_ended_are_replaced_unnoticed(database: PostgresDatabase, postgres_url: str) -> None:
    store = PostgresStore(postgres_url, pool_max=3)
    await store.open()
    await commit(store, service("a"))
    await store.wait_for_news(60)  # Of the commit.
    waiting = asyncio.create_task(store.wait_for_news(60))
    await database.ask(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await asyncio.wait_for(waiting, 10)
    assert (await store.head()).point.revision == 1
    await commit(store, service("b"))
    assert Key("service", "b") in await bodies(store)
    await store.close()


async def test_a_store_uses_no_more_connections_than_it_may(database: PostgresDatabase, postgres_url: str) -> None:
    store = PostgresStore(postgres_url, pool_max=2)
    await store.open()
    await asyncio.gather(*(commit(store, service(f"s{number}")) for number in range(20)))
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tracing-config'"
    [(connections,)] = await database.ask(f"{count} AND datname = current_database()")
    assert connections == 3
    async with store.load(), store.load():
        waiting = asyncio.create_task(everything(store))
        await store.head()
        [(connections,)] = await database.ask(f"{count} AND datname = current_database()")
        assert (connections, waiting.done()) == (5, False)
    assert len(await waiting) == 21
    await store.close()


async def test_a_cancelled_large_batch_frees_the_counter_row(database: PostgresDatabase) -> None:
    store = database.new_store()
    await store.open()
    many = [service(f"s{number}") for number in range(20_000)]
    locked = "SELECT count(*) FROM pg_locks WHERE relation = 'store'::regclass AND mode = 'RowShareLock'"
    # One connection for all looks: to connect for each may take longer than the row is held.
    looking = await asyncpg.connect(database.url)
    importing = asyncio.create_task(commit(store, *many))
    async with asyncio.timeout(20):
        while await looking.fetchval(locked) == 0:
            assert not importing.done()
    importing.cancel()
    await looking.close()
    await asyncio.wait([importing])
    await asyncio.wait_for(commit(store, service("a")), 2)
    await store.close()


async def test_a_large_batch_that_others_overtook_is_worked_out_again(database: PostgresDatabase) -> None:
    importing, other = database.new_store(), database.new_store()
    await importing.open()
    await other.open()
    many = [service(f"s{number}") for number in range(1_500)]
    async with counter_row_held(database) as waiting:
        # Two writes: a single one would wait for a second only, and a busy machine may need longer until the other waits too.
        first = asyncio.create_task(commit(other, service("s7", 0.9), service("s8", 0.9)))
        await waiting(1)
        second = asyncio.create_task(commit(importing, *many))
        await waiting(2)
    assert (await first).head.point.revision == 1
    assert (await second).head.point.revision == 2
    records = await everything(importing)
    assert records[Key("service", "s7")].body == service("s7").body
    assert (await importing.head()).checksum == checksum_of(Change(key, record) for key, record in records.items())
    [(before,)] = await database.ask("SELECT before FROM changes WHERE revision = 2 AND key = 's7'")
    assert before.encode() == service("s7", 0.9).body
    await importing.close()
    await other.close()


@asynccontextmanager
async def counter_row_held(database: PostgresDatabase) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Commits have to wait. What is given waits until so many of them do."""
    holder = await asyncpg.connect(database.url)

    async def waiting(count: int) -> None:
        waiting_here = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        async with asyncio.timeout(5):
            while await holder.fetchval(f"SELECT count(*) {waiting_here}") < count:
                pass

    try:
        async with holder.transaction():
            await holder.execute("SELECT FROM store FOR UPDATE")
            yield waiting
    finally:
        await holder.close()


async def test_a_write_that_another_commit_holds_up_fails_in_time_and_changes_nothing(
    database: PostgresDatabase,
) -> None:
    store = database.new_store()
    await store.open()
    async with counter_row_held(database):
        start = time.perf_counter()
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            await commit(store, service("a"))
        assert 0.9 < time.perf_counter() - start < 2
    assert (await store.head()).point.revision == 0
    await store.close()


async def test_a_store_that_is_closed_under_its_users_leaves_no_connection(database: PostgresDatabase) -> None:
    store = database.new_store()
    await store.open()
    await commit(store, *(service(f"s{number}") for number in range(600)))

    async def load_and_close() -> None:
        async with store.load() as load:
            async for _ in load:
                await store.close()

    users = [load_and_close(), *(commit(store, service("a")) for _ in range(5)), *(store.head() for _ in range(3))]
    outcomes = await asyncio.gather(*users, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {StoreUnavailable, OutcomeUnknown, Committed, Head}
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    async with asyncio.timeout(5):
        while (await database.ask(f"SELECT count(*) {others}")) != [(0,)]:
            pass

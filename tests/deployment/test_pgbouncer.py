"""Behind a pooler that gives each transaction another session: the whole contract of the stores, and what is left of news."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType

import asyncpg
import pytest

from storage.errors import StoreUnavailable
from storage.history import LoggedStore
from storage.postgres import PostgresStore
from storage.postgres.connection import Connector
from storage.postgres.write import BEGIN, LOCK
from tests.contract import (
    conftest,
    test_accept,
    test_alone,
    test_commit_terms,
    test_entries,
    test_history,
    test_store_concurrency,
    test_store_contract,
)
from tests.contract.databases import PostgresDatabase
from tests.contract.writes import commit, everything, service
from tests.e2e.replica import Replica
from tests.services.pgbouncer import PROGRAM, PgBouncerServer
from tests.services.postgres import PostgresServer
from tests.storage.commit_proxy import CommitProxy
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="NOT RUN: no pgbouncer is installed here")

CONTRACT: tuple[ModuleType, ...] = (
    conftest,
    test_accept,
    test_alone,
    test_commit_terms,
    test_entries,
    test_history,
    test_store_concurrency,
    test_store_contract,
)
# Nobody listens behind a pooler: a commit is found by the follower's tick.
NEWS = {
    "test_other_replicas_hear_of_an_entry",
    "test_an_acceptance_is_news",
    "test_a_commit_is_news",
    "test_news_that_came_before_somebody_waits_is_not_lost",
}

for module in CONTRACT:
    rules = {name: value for name, value in vars(module).items() if not name.startswith("__")}
    globals().update({name: value for name, value in rules.items() if name not in NEWS})


class PooledDatabase(PostgresDatabase):
    """Its stores reach it through the pooler; the test looks at it directly."""

    def __init__(self, url: str, pooled_url: str) -> None:
        super().__init__(url)
        self.pooled_url = pooled_url

    def new_store(self) -> PostgresStore:
        return PostgresStore(self.pooled_url)


@pytest.fixture(scope="module")
def pgbouncer(postgres: PostgresServer) -> Iterator[PgBouncerServer]:
    with PgBouncerServer(postgres, sessions=3) as server:
        yield server


@pytest.fixture(scope="module")
def database_name(postgres: PostgresServer) -> str:
    return asyncio.run(postgres.create_database())


@pytest.fixture
async def database(postgres: PostgresServer, pgbouncer: PgBouncerServer, database_name: str) -> PooledDatabase:
    """An empty database."""
    database = PooledDatabase(postgres.url(database_name), pgbouncer.url(database_name))
    await database.ask("DROP SCHEMA public CASCADE")
    await database.ask("CREATE SCHEMA public")
    return database


@pytest.fixture
async def stores(database: PooledDatabase) -> AsyncIterator[list[LoggedStore]]:
    """Twelve open stores, four for each session of the server."""
    stores: list[LoggedStore] = [database.new_store() for _ in range(12)]
    for store in stores:
        await store.open()
    yield stores
    for store in stores:
        await store.close()


async def test_nothing_is_left_in_a_session_that_the_next_client_gets(
    database: PooledDatabase, stores: list[LoggedStore]
) -> None:
    for number, store in enumerate(stores):
        await commit(store, service(f"s{number}"))
    batch = [service(f"batch-{number}") for number in range(1_500)]
    await commit(stores[0], *batch)
    assert len(await everything(stores[1])) == 1_500 + 12 + 1
    await asyncio.gather(*(store.differences(0, None) for store in stores))
    async with asyncio.TaskGroup() as tasks:
        for _ in range(6):
            tasks.create_task(_look_at_a_session(database.pooled_url))


async def _look_at_a_session(url: str) -> None:
    connection = await asyncpg.connect(url, statement_cache_size=0, server_settings={"application_name": "a test"})
    try:
        async with connection.transaction():
            assert await connection.fetch("SELECT name FROM pg_prepared_statements") == []
            assert await connection.fetch("SELECT pg_listening_channels()") == []
            for setting in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
                assert await connection.fetchval(f"SHOW {setting}") == "0"
            await asyncio.sleep(0.05)  # So that the others get other sessions.
    finally:
        await connection.close()


async def test_commits_from_everywhere_at_once_are_all_there_in_one_order(stores: list[LoggedStore]) -> None:
    async def write(number: int) -> None:
        for turn in range(10):
            while True:
                try:
                    await commit(stores[number], service(f"s{number}-{turn}"))
                    break
                except StoreUnavailable:  # It waited for the others for too long.
                    continue

    async def read(number: int) -> None:
        for _ in range(20):
            head = await stores[number].head(0)
            assert head.commit_at_served is not None
            await stores[number].changes_since(0)

    async with asyncio.TaskGroup() as tasks:
        for number in range(len(stores)):
            tasks.create_task(write(number))
            tasks.create_task(read(number))
    heads = await asyncio.gather(*(store.head() for store in stores))
    assert {head.point.revision for head in heads} == {120}
    assert len({head.checksum for head in heads}) == 1


async def test_whoever_falls_silent_with_the_counter_row_loses_it_in_time(database: PooledDatabase) -> None:
    store = database.new_store()
    await store.open()
    silent = await Connector(database.pooled_url).connect(writable=True, query_seconds=10)
    await silent.execute(f"{BEGIN}; {LOCK}")
    start = time.monotonic()
    with pytest.raises(StoreUnavailable, match="lock timeout"):
        await commit(store, service("too-early"))
    assert time.monotonic() - start < 1.5
    await commit(store, service("in-time"))
    assert time.monotonic() - start < 2.2
    silent.terminate()
    await store.close()


async def test_what_became_of_a_commit_is_found_out_through_the_pooler(
    database: PooledDatabase, pgbouncer: PgBouncerServer
) -> None:
    proxy = CommitProxy(pgbouncer.port)
    async with proxy.running() as port:
        store = PostgresStore(database.pooled_url.replace(str(pgbouncer.port), str(port)))
        await store.open()
        proxy.on_commit = proxy.commit_before_the_cut
        committed = await commit(store, service("there"))
        assert (await store.head()).point == committed.head.point
        proxy.on_commit = proxy.cut_before_the_commit
        with pytest.raises(StoreUnavailable, match="nothing was changed"):
            await commit(store, service("not-there"))
        assert (await store.head()).point == committed.head.point
        await store.close()


async def test_replicas_agree_by_their_ticks_and_come_back_by_themselves(
    database: PooledDatabase, postgres: PostgresServer, tmp_path: Path
) -> None:
    with PgBouncerServer(postgres) as private:
        url = private.url(database.url.rpartition("/")[2])
        settings = {"TRACING_CONFIG_DATABASE_URL": url}
        with Replica(tmp_path / "one", **settings) as one, Replica(tmp_path / "two", **settings) as two:
            slowest = 0.0
            for number in range(1, 9):
                rate = number / 16
                assert one.put_rate("checkout", rate).status_code == 200
                start = time.monotonic()
                await eventually(lambda rate=rate: two.poll_http("checkout") == probability(rate), 2)  # type: ignore[misc]
                slowest = max(slowest, time.monotonic() - start)
            assert slowest < 1
            print(f"slowest change: {slowest * 1000:.0f} ms")

            await asyncio.to_thread(private.stop)
            await eventually(lambda: one.health()["components"]["db"]["status"] == "DOWN")
            assert one.put_rate("checkout", 1).status_code == 503
            assert one.poll_http("checkout") == probability(0.5)
            await asyncio.to_thread(private.start)
            await eventually(lambda: two.put_rate("checkout", 1).status_code == 200)
            await eventually(lambda: one.poll_http("checkout") == probability(1))


async def test_in_session_mode_everything_works_too(database: PooledDatabase, postgres: PostgresServer) -> None:
    with PgBouncerServer(postgres, sessions=20, mode="session") as private:
        url = private.url(database.url.rpartition("/")[2])
        stores = [PostgresStore(url) for _ in range(3)]
        for store in stores:
            await store.open()
        for number, store in enumerate(stores):
            await commit(store, service(f"s{number}"))
            await commit(store, *(service(f"batch-{number}-{index}") for index in range(1_100)))
        assert len(await everything(stores[0])) == 3 * 1_101 + 1
        await asyncio.gather(*(store.differences(0, None) for store in stores))
        for store in stores:
            await store.close()


def probability(rate: float) -> dict[str, object]:
    return {"strategyType": "PROBABILISTIC", "probabilisticSampling": {"samplingRate": rate}}

"""A store whose address changes while it is open."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from storage.errors import StoreUnavailable, StoreUnusable
from storage.postgres import PostgresStore
from tests.contract.databases import PostgresDatabase
from tests.contract.writes import commit, service
from tests.services.postgres import PostgresServer


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_url)
    await store.open()
    yield store
    await store.close()


def renamed(url: str, user: str = "postgres") -> str:
    """The same database by another name of its host."""
    return url.replace("postgres@127.0.0.1", f"{user}@localhost")


async def sessions(url: str) -> list[str]:
    """The users of those that are in the database."""
    sql = "SELECT usename FROM pg_stat_activity WHERE application_name = 'tracing-config' AND datname = current_database()"
    return [user for (user,) in await PostgresDatabase(url).ask(sql)]


async def until_sessions(url: str, wanted: list[str]) -> None:
    """One that is closed takes a moment to end."""
    async with asyncio.timeout(10):
        while await sessions(url) != wanted:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def test_connections_by_the_old_address_are_replaced_when_they_are_next_used(
    store: PostgresStore, postgres: PostgresServer, postgres_url: str
) -> None:
    await PostgresDatabase(postgres.url()).ask("CREATE ROLE another LOGIN SUPERUSER")
    await commit(store, service("before"))
    await until_sessions(postgres_url, ["postgres", "postgres"])
    await store.use(renamed(postgres_url, "another"))
    assert store.address == renamed(postgres_url).replace("postgres@", "")
    await commit(store, service("after"))
    assert (await store.head()).point.revision == 2
    await until_sessions(postgres_url, ["another", "another"])


async def test_who_commits_or_loads_is_not_disturbed(store: PostgresStore, postgres_url: str) -> None:
    await commit(store, *(service(f"s{number}") for number in range(1_500)))
    records = 0

    async def load() -> None:
        nonlocal records
        async with store.load() as load:
            async for chunk in load:
                records += len(chunk)
                await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load())
        for number in range(40):
            tasks.create_task(commit(store, service(f"beside-{number}")))
        await asyncio.sleep(0.01)
        await store.use(renamed(postgres_url))
        tasks.create_task(commit(store, service("after")))
    assert records >= 1_501
    assert (await store.head()).point.revision == 42


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (("/test_", "/no_such_database_"), StoreUnusable),
        (("postgres@", "nobody_of_this_name@"), StoreUnusable),
        (("127.0.0.1", "127.0.0.1:1,127.0.0.1:2"), ValueError),
        (("postgresql://", "mysql://"), ValueError),
        (("127.0.0.1:", "127.0.0.1:1/nothing-listens?application_name="), StoreUnavailable),
    ],
)
async def test_an_address_that_does_not_work_changes_nothing(
    store: PostgresStore, postgres_url: str, change: tuple[str, str], error: type[Exception]
) -> None:
    address = store.address
    with pytest.raises(error):
        await store.use(postgres_url.replace(*change))
    assert store.address == address
    await commit(store, service("still"))


async def test_without_a_smallest_number_one_connection_is_kept_until_somebody_writes(postgres_url: str) -> None:
    store = PostgresStore(postgres_url, pool_min=0)
    await store.open()
    await store.head()
    await until_sessions(postgres_url, ["postgres"])
    await commit(store, service("written"))
    assert await sessions(postgres_url) == ["postgres", "postgres"]
    await store.close()

"""What is special about long reads from PostgreSQL, loads and questions about the past: their connections."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

import storage.postgres.store
from storage.errors import StoreUnavailable
from storage.history import Differences, Revision, Wanted
from storage.postgres import PostgresStore
from tests.contract.databases import PostgresDatabase
from tests.contract.writes import commit, everything, service

OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
async def database(postgres_url: str) -> PostgresDatabase:
    return PostgresDatabase(postgres_url)


@pytest.fixture
async def store(database: PostgresDatabase) -> AsyncIterator[PostgresStore]:
    """An open store with a few hundred changes."""
    store = database.new_store()
    await store.open()
    await commit(store, *(service(f"s{number}") for number in range(600)))
    yield store
    await store.close()


async def test_questions_open_at_most_two_connections_and_leave_none(store: PostgresStore, database: PostgresDatabase) -> None:
    [(before,)] = await database.ask(f"SELECT count(*) {OTHERS}")
    await store.revision(0)
    async with store.state_at(1), store.state_at(0):
        waiting = [asyncio.create_task(store.differences(0, None)) for _ in range(3)]
        await store.head()
        assert await database.ask(f"SELECT count(*) {OTHERS}") == [(before + 2,)]
        assert not any(question.done() for question in waiting)
    await asyncio.gather(*waiting)
    async with asyncio.timeout(5):
        while await database.ask(f"SELECT count(*) {OTHERS}") != [(before,)]:
            pass


async def test_a_store_that_is_closed_under_those_who_ask_leaves_no_connection(
    store: PostgresStore, database: PostgresDatabase
) -> None:
    async def read_and_close() -> None:
        async with store.state_at(1) as load:
            async for _ in load:
                await store.close()

    questions = [read_and_close(), *(store.differences(0, None) for _ in range(3)), *(store.revision(0) for _ in range(3))]
    outcomes = await asyncio.gather(*questions, return_exceptions=True)
    assert isinstance(outcomes[0], StoreUnavailable)
    assert {type(outcome) for outcome in outcomes} <= {StoreUnavailable, Differences, Revision}
    async with asyncio.timeout(5):
        while await database.ask(f"SELECT count(*) {OTHERS}") != [(0,)]:
            pass


async def test_who_waits_for_a_connection_of_a_store_that_is_closed_meanwhile_gets_none(store: PostgresStore) -> None:
    async with store.state_at(1), store.state_at(1):
        waiting = [asyncio.create_task(store.differences(0, None)) for _ in range(3)]
        await store.head()
        await store.close()
    for outcome in await asyncio.gather(*waiting, return_exceptions=True):
        assert str(outcome) == "PostgreSQL: the store is closed"


async def test_who_waits_too_long_for_a_connection_is_told_so(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage.postgres.store, "HEAD_SECONDS", 0.5)
    await store.open()
    async with store.load(), store.load(), asyncio.timeout(5):
        with pytest.raises(StoreUnavailable, match="in time"):
            await everything(store)
    assert len(await everything(store)) == 601


async def test_a_question_is_refused_when_the_server_ends_its_connection_and_the_next_is_answered(
    store: PostgresStore, database: PostgresDatabase
) -> None:
    async with store.state_at(1) as load:
        chunks = aiter(load)
        await anext(chunks)
        await database.ask(f"SELECT pg_terminate_backend(pid, 5000) {OTHERS} AND query LIKE '%changes%'")
        with pytest.raises(StoreUnavailable):
            await anext(chunks)
    assert len(await store.logged(Wanted(), 1_000)) == 601


async def test_a_migration_that_holds_up_a_question_makes_it_fail_soon(
    store: PostgresStore, database: PostgresDatabase
) -> None:
    holder = await asyncpg.connect(database.url)
    async with holder.transaction():
        await holder.execute("LOCK TABLE changes")
        async with asyncio.timeout(5):
            with pytest.raises(StoreUnavailable, match="lock timeout"):
                await store.logged(Wanted(), 1)
    await holder.close()


async def test_the_server_itself_ends_a_question_that_takes_too_long(store: PostgresStore, database: PostgresDatabase) -> None:
    await database.ask("ALTER TABLE revisions RENAME TO kept")
    await database.ask(
        "CREATE VIEW revisions AS SELECT revision, commit_id, created_at, actor, checksum,"
        " current_setting('statement_timeout') || ' ' || current_setting('idle_in_transaction_session_timeout')"
        " || ' ' || current_setting('transaction_isolation') || ' ' || current_setting('transaction_read_only') AS reason"
        " FROM kept"
    )
    assert (await store.revision(1)).reason == "10s 10s repeatable read on"

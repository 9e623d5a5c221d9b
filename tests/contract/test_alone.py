"""Being alone under a name among all who use a database."""

import asyncio
from contextlib import AsyncExitStack

import pytest

import storage.postgres.alone
from storage.history import LoggedStore
from tests.contract.conftest import OpenStore
from tests.contract.databases import Database, PostgresDatabase
from tests.contract.writes import commit, service


async def other_of(store: LoggedStore, open_store: OpenStore) -> LoggedStore:
    """Another replica's store; on a file, which one process works on, the same."""
    return store if store.name == "SQLite" else await open_store()


async def test_only_one_is_alone_under_a_name_until_it_ends(store: LoggedStore, open_store: OpenStore) -> None:
    other = await other_of(store, open_store)
    async with store.alone("work") as first:
        assert first
        async with other.alone("work") as second, other.alone("something else") as elsewhere:
            assert not second
            assert elsewhere
        async with other.alone("work") as again:
            assert not again  # Who was not alone has ended nothing.
    async with other.alone("work") as afterwards:
        assert afterwards


async def test_of_many_that_begin_at_once_one_is_alone(store: LoggedStore, open_store: OpenStore) -> None:
    other = await other_of(store, open_store)
    async with AsyncExitStack() as stack:
        contexts = [each.alone("work") for each in (store, other) * 4]
        assert sum(await asyncio.gather(*map(stack.enter_async_context, contexts))) == 1


async def test_what_fails_leaves_nobody_alone(store: LoggedStore, open_store: OpenStore) -> None:
    with pytest.raises(ZeroDivisionError):
        async with store.alone("work"):
            raise ZeroDivisionError
    held = asyncio.Event()

    async def hold() -> None:
        async with store.alone("work") as is_alone:
            assert is_alone
            held.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await held.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with (await other_of(store, open_store)).alone("work") as is_alone:
        assert is_alone


async def test_who_is_alone_holds_up_no_commit_and_no_reader(store: LoggedStore, open_store: OpenStore) -> None:
    async with store.alone("work"):
        committed = await commit(await other_of(store, open_store), service("a"))
        assert (await store.head()).point == committed.head.point


async def test_another_is_alone_when_the_connection_of_the_first_is_gone(
    store: LoggedStore, open_store: OpenStore, database: Database
) -> None:
    if not isinstance(database, PostgresDatabase):
        return  # No connection holds it.
    held = "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    async with store.alone("work") as first:
        assert first
        assert await database.ask(held) == [(True,)]
        async with (await open_store()).alone("work") as second:
            assert second


async def test_who_is_alone_makes_no_vacuum_wait(store: LoggedStore, database: Database) -> None:
    if not isinstance(database, PostgresDatabase):
        return
    async with store.alone("work"):
        holder = "pid = (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
        waited_for = "SELECT state, backend_xid, backend_xmin FROM pg_stat_activity WHERE "
        assert await database.ask(waited_for + holder) == [("idle in transaction", None, None)]


async def test_who_is_alone_and_not_heard_of_is_so_for_a_bounded_time(
    store: LoggedStore, open_store: OpenStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not isinstance(database, PostgresDatabase):
        return  # It is alone within this process, whose end ends it.
    monkeypatch.setattr(storage.postgres.alone, "ALONE_SECONDS", 0.2)
    other = await open_store()

    async def is_free() -> bool:
        async with other.alone("work") as is_alone:
            return is_alone

    async with store.alone("work"):
        async with asyncio.timeout(10):
            while not await is_free():  # Asked over the network each time.
                pass

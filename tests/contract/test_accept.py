"""A store that was told to take the place of others."""

import asyncio

import pytest

from storage.errors import StoreUnavailable
from storage.history import LoggedStore
from tests.contract.conftest import OpenStore
from tests.contract.databases import Database
from tests.contract.writes import commit, service

ONE, OTHER = "1" * 32, "0" * 32


async def test_a_new_store_takes_nobodys_place(store: LoggedStore) -> None:
    assert (await store.head()).accepted == ()


async def test_every_head_names_the_stores_that_were_accepted(store: LoggedStore, open_store: OpenStore) -> None:
    other = await open_store()
    point = (await store.head()).point
    await store.accept(ONE)
    assert (await other.head()).accepted == (ONE,)
    await other.accept(OTHER)
    async with store.load() as load:
        pass
    for head in (await store.head(0), await other.head(), (await store.changes_since(0)).head, load.head):
        assert sorted(head.accepted) == [OTHER, ONE]
        assert head.point == point


async def test_what_was_accepted_stays_so_after_commits_and_when_the_store_is_opened_again(
    store: LoggedStore, open_store: OpenStore
) -> None:
    await store.accept(ONE)
    await commit(store, service("a"))
    await store.close()
    again = await open_store()
    assert (await again.head()).accepted == (ONE,)
    await store.open()
    assert (await store.head()).accepted == (ONE,)


async def test_a_store_may_be_accepted_twice_also_at_once(
    store: LoggedStore, open_store: OpenStore, database: Database
) -> None:
    stores = [store, await open_store()]
    await store.accept(ONE)
    [first] = await database.ask("SELECT accepted_at FROM accepted_stores")
    await asyncio.gather(*(stores[number % 2].accept(ONE) for number in range(6)))
    assert (await store.head()).accepted == (ONE,)
    assert await database.ask("SELECT accepted_at FROM accepted_stores") == [first]


async def test_an_acceptance_is_news(store: LoggedStore) -> None:
    waiting = asyncio.create_task(store.wait_for_news(60))
    await store.accept(ONE)
    await asyncio.wait_for(waiting, 5)


async def test_a_store_that_is_not_open_accepts_nobody(database: Database) -> None:
    store = database.new_store()
    with pytest.raises(StoreUnavailable):
        await store.accept(ONE)
    await store.open()
    assert (await store.head()).accepted == ()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.accept(ONE)

"""What every store promises to many callers at once."""

import asyncio
import random
from contextlib import AsyncExitStack

from sampling.records import Change, Key, Stored
from storage.checksum import checksum_of
from storage.errors import StoreUnavailable
from storage.interface import Store, Terms
from tests.contract.conftest import OpenStore
from tests.contract.databases import Database
from tests.contract.writes import bodies, commit, everything, service


async def test_concurrent_commits_are_all_there_in_the_order_of_their_revisions(
    store: Store, open_store: OpenStore, database: Database
) -> None:
    stores = [store, await open_store(), await open_store()]

    async def write(number: int) -> int:
        own, shared = service(f"own {number}"), service("shared", number / 100)
        committed = await commit(stores[number % 3], own, shared)
        return committed.head.point.revision

    revisions = await asyncio.gather(*(write(number) for number in range(60)))
    assert sorted(revisions) == list(range(1, 61))
    records = await everything(store)
    last = revisions.index(60)
    assert records[Key("service", "shared")].body == service("shared", last / 100).body
    assert {records[Key("service", f"own {number}")].revision for number in range(60)} == set(range(1, 61))
    assert (await store.head()).checksum == checksum_of(Change(key, record) for key, record in records.items())
    [(times, ordered)] = await database.ask(
        "SELECT count(*), sum(CASE WHEN later.created_at >= earlier.created_at THEN 1 ELSE 0 END)"
        " FROM revisions AS later JOIN revisions AS earlier ON later.revision = earlier.revision + 1"
    )
    assert times == ordered == 60


async def test_only_one_of_many_writers_that_expect_the_same_tag_succeeds(store: Store, open_store: OpenStore) -> None:
    stores = [store, await open_store()]
    await commit(store, service("a"))
    key = Key("service", "a")
    tag = (await everything(store))[key].etag
    outcomes = await asyncio.gather(
        *(
            stores[number % 2].commit([service("a", number / 100)], Terms(actor="", reason="", expected={key: tag}))
            for number in range(20)
        ),
        return_exceptions=True,
    )
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    assert (await store.head()).point.revision == 2


async def test_a_reader_misses_no_revision_while_others_write(store: Store, open_store: OpenStore) -> None:
    writers = [await open_store(), await open_store()]
    chance = random.Random(1)

    async def write(number: int) -> None:
        for _ in range(40):
            record = service(f"s{chance.randrange(20)}", chance.random())
            for attempt in range(10):
                try:
                    await commit(writers[number], record)
                    break
                except StoreUnavailable:  # On a busy machine one writer may keep the other waiting for too long.
                    if attempt == 9:
                        raise

    followed = dict(await everything(store))
    revision = 0
    writing = asyncio.gather(write(0), write(1))
    written = False
    while not written:
        written = writing.done()
        news = await store.changes_since(revision)
        for change in news.changes:
            assert change.record is not None
            assert revision < change.record.revision <= news.head.point.revision
            followed[change.key] = change.record
        revision = news.head.point.revision
        assert checksum_of(Change(key, record) for key, record in followed.items()) == news.head.checksum
    await writing
    assert revision == 80
    assert followed == await everything(store)


async def test_every_load_and_its_head_are_of_the_same_moment(store: Store, open_store: OpenStore) -> None:
    writer = await open_store()

    async def write() -> None:
        for number in range(150):
            await commit(writer, service(f"s{number % 7}", number / 200))

    writing = asyncio.create_task(write())
    while not writing.done():
        async with store.load() as load:
            records = [change async for chunk in load for change in chunk]
        assert checksum_of(records) == load.head.checksum
    await writing


async def test_loads_in_the_middle_hold_up_neither_followers_nor_writers(store: Store) -> None:
    await commit(store, *(service(f"s{number}") for number in range(1_500)))
    async with AsyncExitStack() as loads:
        begun = []
        for _ in range(2):
            chunks = aiter(await loads.enter_async_context(store.load()))
            begun.append((chunks, len(await anext(chunks))))
        async with asyncio.timeout(5):
            await commit(store, service("a"))
            assert (await store.head()).point.revision == 2
            assert len((await store.changes_since(1)).changes) == 1
        for chunks, read in begun:
            assert read + sum([len(chunk) async for chunk in chunks]) == 1_501


async def test_a_commit_is_news(store: Store) -> None:
    waiting = asyncio.create_task(store.wait_for_news(60))
    await commit(store, service("a"))
    await asyncio.wait_for(waiting, 1)


async def test_news_that_came_before_somebody_waits_is_not_lost(store: Store, open_store: OpenStore) -> None:
    await commit(store, service("a"))
    await asyncio.wait_for(store.wait_for_news(60), 1)


async def test_waiting_for_news_ends_in_time(store: Store) -> None:
    start = asyncio.get_running_loop().time()
    await store.wait_for_news(0.05)
    assert 0.03 < asyncio.get_running_loop().time() - start < 1


async def test_what_another_store_committed_is_in_the_head(store: Store, open_store: OpenStore) -> None:
    committed = await commit(await open_store(), service("a"))
    assert (await store.head()).point == committed.head.point
    assert (await bodies(store))[Key("service", "a")] == service("a").body


async def test_a_cancelled_commit_is_there_whole_or_not_at_all_and_locks_nothing(store: Store, open_store: OpenStore) -> None:
    other = await open_store()
    loop = asyncio.get_running_loop()
    for number in range(30):
        writes = [service(f"{number} of {part}") for part in range(2)]
        task = asyncio.create_task(commit(store, *writes))
        cancelled = loop.call_later(number * 0.0003, task.cancel)
        await asyncio.wait([task])
        cancelled.cancel()
        # Within the two seconds of a single write, so nobody waits for what was left behind.
        await commit(other, service("other", number / 100))
    records: dict[Key, Stored] = await everything(store)
    for number in range(30):
        parts = [records.get(Key("service", f"{number} of {part}")) for part in range(2)]
        assert (parts[0] is None) == (parts[1] is None)
    assert (await store.head()).checksum == checksum_of(Change(key, record) for key, record in records.items())


async def test_cancelled_readers_disturb_nobody(store: Store) -> None:
    await commit(store, *(service(f"s{number}") for number in range(1_000)))
    loop = asyncio.get_running_loop()
    for number in range(12):
        reads = [asyncio.create_task(read) for read in (store.head(), store.changes_since(0), everything(store))]
        for read in reads:
            loop.call_later(number * 0.0005, read.cancel)
        await asyncio.wait(reads)
        assert (await store.head()).point.revision == 1
    assert len(await everything(store)) == 1_001


async def test_a_long_load_delays_no_commit(store: Store) -> None:
    await commit(store, *(service(f"s{number}") for number in range(2_000)))
    async with store.load() as load:
        async for _ in load:
            await asyncio.wait_for(commit(store, service("a", random.random())), 1)

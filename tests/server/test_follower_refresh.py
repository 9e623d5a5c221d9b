"""Everything is loaded anew when somebody asks for it, and no commit is lost by that."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from sampling.records import Key, Stored
from server import follower as follower_module
from storage.errors import StoreUnavailable
from storage.interface import Load, Terms
from tests.server.following import another_store, commit, following, service
from tests.server.memory_store import MemoryStore
from tests.waiting import until


async def test_a_refresh_serves_what_stands_in_the_store_at_the_same_point() -> None:
    store = MemoryStore()
    await commit(store, service("a", 0.5))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        point = replica.served.point
        key = Key("service", "a")
        stored = store.revisions[-1][1][key]
        store.revisions[-1][1][key] = Stored(stored.revision, stored.commit_id, stored.body.replace(b"0.5", b"0.75"))
        assert replica.rate("a") == 0.5
        await replica.follower.refresh()
        assert replica.rate("a") == 0.75
        assert replica.served.point == point


async def test_a_refresh_changes_nothing_while_the_store_is_away_or_another() -> None:
    store = MemoryStore()
    await commit(store, service("a", 0.5))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        store.fail(StoreUnavailable("gone"))
        with pytest.raises(StoreUnavailable, match="gone"):
            await replica.follower.refresh()
        store.fail(None)
        store.be_replaced_by(await another_store(0.75))
        with pytest.raises(StoreUnavailable, match="store accept"):
            await replica.follower.refresh()
        assert replica.rate("a") == 0.5


class WatchedLoads(MemoryStore):
    """Tells how many loads were open at once, and lets somebody commit while the next ones begin."""

    def __init__(self) -> None:
        super().__init__()
        self.open_loads = self.most_open_loads = 0
        self.at_begin: list[Callable[[], Awaitable[object]]] = []

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Load]:
        self.open_loads += 1
        self.most_open_loads = max(self.most_open_loads, self.open_loads)
        async with super().load() as load:
            if self.at_begin:
                await self.at_begin.pop()()
            yield load
            await asyncio.sleep(0)
        self.open_loads -= 1


async def test_a_refresh_that_a_commit_overtakes_begins_again() -> None:
    store = WatchedLoads()
    await commit(store, service("a", 0.5))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        key = Key("service", "a")
        stored = store.revisions[-1][1][key]

        def commit_b(rate: float) -> Callable[[], Awaitable[object]]:
            return lambda: replica.follower.commit([service("b", rate)], Terms(actor="t", reason=""))

        store.at_begin = [commit_b(0.25), commit_b(0.75)]
        store.revisions[-1][1][key] = Stored(stored.revision, stored.commit_id, stored.body.replace(b"0.5", b"0.75"))
        await replica.follower.refresh()
        assert (replica.rate("a"), replica.rate("b")) == (0.75, 0.25)
        assert replica.served.point == (await store.head()).point


async def test_a_refresh_gives_up_when_commits_never_stop() -> None:
    store = WatchedLoads()
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        rates = iter(range(1000))
        store.at_begin = [
            lambda: replica.follower.commit([service("b", next(rates) / 1000)], Terms(actor="t", reason=""))
            for _ in range(1000)
        ]
        with pytest.raises(StoreUnavailable, match="again and again"):
            await replica.follower.refresh()
        assert replica.served.point == (await store.head()).point


async def test_two_refreshes_load_one_after_the_other() -> None:
    store = WatchedLoads()
    await commit(store, service("a", 0.5))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        await asyncio.gather(*(replica.follower.refresh() for _ in range(5)))
        assert store.most_open_loads == 1


async def test_refreshes_and_commits_at_once_lose_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower_module, "REFRESH_ATTEMPTS", 100)
    store = MemoryStore()
    await commit(store, *(service(f"s{number}", 0.25) for number in range(3000)))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        refreshes = [asyncio.create_task(replica.follower.refresh()) for _ in range(2)]
        rates = [number / 64 for number in range(1, 33)]
        for rate in rates:
            _, served = await replica.follower.commit([service("a", rate)], Terms(actor="t", reason=""))
            assert served
            assert replica.rate("a") == rate
        await asyncio.gather(*refreshes)
        assert replica.rate("a") == rates[-1]
        assert replica.served.point == (await store.head()).point

"""The follower: what moves the served point, what never does, and what is answered meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from sampling.records import Boost, Key, SamplingPolicy, Stored
from sampling.strategy import SamplingStrategy
from server import follower as follower_module
from server.answers import NotReady
from server.follower import AnotherStore, NothingToAccept
from storage.errors import StoreUnavailable, StoreUnusable
from storage.interface import Load, Terms
from tests.server.following import base_of, commit, following, put, service
from tests.server.memory_store import MemoryStore
from tests.waiting import until


async def test_a_commit_elsewhere_is_served() -> None:
    store = MemoryStore()
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        assert replica.rate("a") == 0.001
        point = await commit(store, service("a", 0.5))
        await until(lambda: replica.served.point == point)
        assert replica.rate("a") == 0.5


async def test_a_commit_here_is_served_before_it_returns() -> None:
    store = MemoryStore()
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        for rate in (0.25, 0.5, 0.75):
            committed, served = await replica.follower.commit([service("a", rate)], Terms(actor="t", reason=""))
            assert served
            assert replica.served.point == committed.head.point
            assert replica.rate("a") == rate


async def test_a_commit_here_is_handed_over_without_asking_the_store() -> None:
    store = MemoryStore()
    store.quiet = True
    async with following(store, tick=60) as replica:
        await until(lambda: replica.answers.ready)
        store.asked.clear()
        committed, served = await replica.follower.commit([service("a", 0.5)], Terms(actor="t", reason=""))
        assert served
        assert replica.served.point == committed.head.point
        assert not store.asked.is_set()


async def test_a_commit_here_after_unheard_ones_elsewhere_does_not_wait_for_the_tick() -> None:
    store = MemoryStore()
    store.quiet = True
    async with following(store, tick=60) as replica:
        await until(lambda: replica.answers.ready)
        await commit(store, service("a", 0.25))
        _, served = await replica.follower.commit([service("b", 0.5)], Terms(actor="t", reason=""))
        assert served
        assert [replica.rate(name) for name in "ab"] == [0.25, 0.5]


async def test_a_commit_to_a_store_that_was_swapped_a_moment_ago_is_refused() -> None:
    store = MemoryStore()
    store.quiet = True
    async with following(store, tick=60) as replica:
        await until(lambda: replica.answers.ready)
        store.store_id = "0" * 32
        with pytest.raises(StoreUnavailable):
            await replica.follower.commit([service("a", 0.5)], Terms(actor="t", reason=""))
        assert len(store.revisions) == 1


async def test_only_a_replica_without_a_base_may_fill_an_empty_database() -> None:
    store = MemoryStore()
    async with following(store, await base_of(store)):
        await until(lambda: store.may_be_filled is not None)
        assert store.may_be_filled is False
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        assert store.may_be_filled is True


async def test_a_commit_that_is_not_served_in_time_says_so_and_is_served_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower_module, "SERVED_SECONDS", 0.05)
    store = MemoryStore()
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        store.checksum_error = 1
        committed, served = await replica.follower.commit([service("a", 0.5)], Terms(actor="t", reason=""))
        assert not served
        assert replica.rate("a") == 0.001
        store.checksum_error = 0
        await until(lambda: replica.served.point == committed.head.point)
        assert replica.rate("a") == 0.5


async def test_a_commit_here_after_unseen_ones_elsewhere_is_served_with_them() -> None:
    store = MemoryStore()
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        await commit(store, service("a", 0.25))
        await commit(store, service("b", 0.75))
        _, served = await replica.follower.commit([service("c", 0.5)], Terms(actor="t", reason=""))
        assert served
        assert [replica.rate(name) for name in "abc"] == [0.25, 0.75, 0.5]


async def test_answers_stay_while_the_store_is_away_and_writes_are_refused() -> None:
    store = MemoryStore()
    await commit(store, service("a", 0.5))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        store.fail(StoreUnavailable("gone"))
        await until(lambda: replica.follower.problem == "gone")
        assert replica.rate("a") == 0.5
        with pytest.raises(StoreUnavailable):
            await replica.follower.commit([service("a", 1)], Terms(actor="t", reason=""))
        staleness = replica.follower.staleness
        await until(lambda: replica.follower.staleness > staleness)
        store.fail(None)
        await until(lambda: replica.follower.problem is None)
        assert replica.follower.staleness < staleness + 1


async def test_without_base_and_store_polls_are_refused_until_the_store_comes() -> None:
    store = MemoryStore()
    store.failure = StoreUnavailable("gone")
    async with following(store) as replica:
        await until(lambda: replica.follower.problem == "gone")
        with pytest.raises(NotReady):
            replica.rate("a")
        store.failure = None
        await until(lambda: replica.answers.ready)


async def test_a_base_is_served_when_the_store_does_not_answer_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower_module, "PATIENCE_SECONDS", 0.05)
    store = MemoryStore()
    await commit(store, service("a", 0.5))
    base = await base_of(store)
    store.failure = StoreUnavailable("gone")
    async with following(store, base) as replica:
        assert not replica.answers.ready
        await until(lambda: replica.answers.ready)
        assert replica.rate("a") == 0.5


async def test_a_base_is_caught_up_before_it_is_served() -> None:
    store = MemoryStore()
    await commit(store, service("a", 0.25))
    base = await base_of(store)
    await commit(store, service("a", 0.5))
    async with following(store, base) as replica:
        await until(lambda: replica.answers.ready)
        assert replica.rate("a") == 0.5


async def test_a_restored_older_backup_is_followed_and_told() -> None:
    store = MemoryStore()
    await commit(store, service("a", 0.25))
    backup = store.fork(1)
    await commit(store, service("a", 0.5))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready and replica.rate("a") == 0.5)
        abandoned = replica.served.point
        store.revisions = backup.revisions
        await commit(store, service("b", 0.75))  # The number of the lost revision, with another commit.
        await until(lambda: replica.rate("b") == 0.75)
        assert replica.rate("a") == 0.25
        assert replica.lost == [abandoned]
        assert replica.follower.histories_lost == 1


async def test_a_standby_that_lags_is_not_followed_back() -> None:
    store = MemoryStore()
    await commit(store, service("a", 0.25))
    backup = store.fork(1)
    await commit(store, service("a", 0.5))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready and replica.rate("a") == 0.5)
        store.in_recovery = True
        store.revisions = backup.revisions
        store.news.set()
        await until(lambda: "standby" in (replica.follower.problem or ""))
        assert replica.rate("a") == 0.5
        assert replica.lost == []


async def test_a_store_with_another_id_is_never_followed_and_refuses_writes() -> None:
    store = MemoryStore()
    await commit(store, service("a", 0.5))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        other = MemoryStore()
        await commit(other, service("a", 0.75))
        await commit(other, service("a", 0.875))
        ours = store.store_id
        store.store_id, store.revisions = other.store_id, other.revisions
        store.news.set()
        await until(lambda: replica.follower.foreign is not None)
        problem = replica.follower.problem or ""
        assert ours in problem
        assert other.store_id in problem
        assert "tracing-config store accept" in problem
        with pytest.raises(StoreUnavailable, match="tracing-config store accept"):
            await replica.follower.commit([service("a", 1)], Terms(actor="t", reason=""))
        assert replica.rate("a") == 0.5
        assert len(store.revisions) == 3


async def another_store(rate: float) -> MemoryStore:
    """A store with other commits under the same numbers, and more of them."""
    other = MemoryStore()
    for number in range(3):
        await commit(other, service("a", rate), service(f"other-{number}", rate))
    return other


async def test_an_accepted_store_is_followed_by_every_replica_of_the_one_whose_place_it_took() -> None:
    store = MemoryStore()
    await commit(store, service("a", 0.5), service("gone", 0.5))
    async with following(store) as one, following(store) as two:
        await until(lambda: one.answers.ready and two.answers.ready)
        abandoned, other = one.served.point, await another_store(0.75)
        store.be_replaced_by(other)
        store.news.set()
        await until(lambda: one.follower.foreign is not None and two.follower.foreign is not None)
        with capture_logs() as logs:
            await one.follower.accept(other.store_id)
            assert one.served.point == (await store.head()).point
            await until(lambda: two.served.point == one.served.point)
        for replica in (one, two):
            assert (replica.rate("a"), replica.rate("gone")) == (0.75, 0.001)
            assert replica.lost == [abandoned]
            assert replica.follower.foreign is None
            _, served = await replica.follower.commit([service("a", 0.25)], Terms(actor="t", reason=""))
            assert served
        told = [log for log in logs if "another store was accepted" in log["event"]]
        assert [(log["log_level"], log["served"], log["store"]) for log in told] == [
            ("warning", str(abandoned), other.store_id)
        ] * 2
        assert (one.follower.histories_lost, two.follower.histories_lost) == (0, 0)
        assert one.follower.problem is None


async def test_answers_stay_until_the_accepted_store_is_loaded_whole() -> None:
    store = MemoryStore()
    await commit(store, service("a", 0.5))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        other = await another_store(0.75)
        other.accepted = (store.store_id,)
        store.checksum_error = 1
        store.be_replaced_by(other)
        await until(lambda: replica.follower.mismatches > 1)
        assert replica.rate("a") == 0.5
        with pytest.raises(StoreUnavailable):
            await replica.follower.commit([service("a", 1)], Terms(actor="t", reason=""))
        store.checksum_error = 0
        await until(lambda: replica.rate("a") == 0.75)


async def test_a_start_from_a_copy_of_the_old_store_follows_the_accepted_one() -> None:
    old = MemoryStore()
    await commit(old, service("a", 0.5))
    other = await another_store(0.75)
    other.accepted = (old.store_id,)
    async with following(other, await base_of(old)) as replica:
        await until(lambda: replica.answers.ready)
        await until(lambda: replica.rate("a") == 0.75)
        assert replica.served.accepted == (old.store_id,)


async def test_a_store_that_was_accepted_in_place_of_a_third_one_is_not_followed() -> None:
    store = MemoryStore()
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        other = await another_store(0.75)
        other.accepted = ("0" * 32,)
        store.be_replaced_by(other)
        await until(lambda: replica.follower.foreign is not None)
        assert replica.rate("a") == 0.001


async def test_only_what_is_there_can_be_accepted() -> None:
    store = MemoryStore()
    await commit(store, service("a", 0.5))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        ours, other = store.store_id, await another_store(0.75)
        for named in (ours, other.store_id, None):
            with pytest.raises(NothingToAccept):
                await replica.follower.accept(named)
        store.be_replaced_by(other)
        for named in (ours, "0" * 32, None):
            with pytest.raises(AnotherStore) as caught:
                await replica.follower.accept(named)
            assert (caught.value.found, caught.value.served) == (other.store_id, ours)
        assert store.accepted == ()
        store.fail(StoreUnavailable("gone"))
        with pytest.raises(StoreUnavailable):
            await replica.follower.accept(other.store_id)
        assert replica.rate("a") == 0.5


async def test_an_emptied_database_is_filled_and_followed_when_it_is_accepted() -> None:
    store = MemoryStore()
    await commit(store, service("a", 0.5))
    async with following(store) as one, following(store) as two:
        await until(lambda: one.answers.ready and two.answers.ready)
        ours = store.store_id
        store.empty = True
        store.news.set()
        await until(lambda: one.follower.problem is not None and two.follower.problem is not None)
        with pytest.raises(AnotherStore) as caught:
            await one.follower.accept(ours)
        assert caught.value.found is None
        assert store.empty
        assert one.rate("a") == 0.5
        await one.follower.accept(None)
        assert store.accepted == (ours,)
        await until(lambda: two.rate("a") == 0.001)
        for replica in (one, two):
            _, served = await replica.follower.commit([service("b", 0.25)], Terms(actor="t", reason=""))
            assert served


class RestoredMeanwhile(MemoryStore):
    """Somebody restores a store in the emptied database at the moment when it is to be filled."""

    restored: MemoryStore | None = None

    async def open(self, *, create: bool = True) -> None:
        if create and self.restored is not None:
            self.be_replaced_by(self.restored)
        await super().open(create=create)


async def test_what_was_restored_instead_of_staying_empty_is_not_accepted_unnamed() -> None:
    store = RestoredMeanwhile()
    await commit(store, service("a", 0.5))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        store.restored = await another_store(0.75)
        store.empty = True
        with pytest.raises(AnotherStore) as caught:
            await replica.follower.accept(None)
        assert caught.value.found == store.restored.store_id
        assert store.accepted == ()
        assert replica.rate("a") == 0.5


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


class LoadsFromElsewhere(MemoryStore):
    """While ``elsewhere`` is set, loads come to another server than questions."""

    elsewhere: MemoryStore | None = None

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Load]:
        async with self.elsewhere.load() if self.elsewhere else super().load() as load:
            yield load


async def test_a_load_that_comes_to_another_store_or_to_a_standby_that_lags_is_not_taken() -> None:
    store = LoadsFromElsewhere()
    await commit(store, service("a", 0.25))
    other, standby = MemoryStore(), store.fork(1)
    standby.in_recovery = True
    for rate in (0.75, 0.125):
        await commit(other, service("a", rate))
        await commit(store, service("a", 0.5))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready and replica.rate("a") == 0.5)
        at = replica.served.point
        for elsewhere, reason in ((other, other.store_id), (standby, "standby")):
            store.elsewhere = elsewhere
            with pytest.raises(StoreUnavailable, match=reason):
                await replica.follower.refresh()
            assert (replica.rate("a"), replica.served.point) == (0.5, at)
        assert replica.lost == []
        store.elsewhere = None
        await replica.follower.refresh()


async def test_a_store_that_was_unusable_is_opened_again() -> None:
    store = MemoryStore()
    await commit(store, service("a", 0.5))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        store.fail(StoreUnusable("a table is missing"))
        await until(lambda: store.may_be_filled is False)
        with pytest.raises(StoreUnavailable, match="a table is missing"):
            await replica.follower.commit([service("a", 0.75)], Terms(actor="test"))
        store.fail(None)
        await until(lambda: replica.follower.problem is None)
        await replica.follower.commit([service("a", 0.75)], Terms(actor="test"))
        assert replica.rate("a") == 0.75


async def test_changes_that_miss_the_checksum_are_not_taken_until_they_fit() -> None:
    store = MemoryStore()
    await commit(store, service("a", 0.25))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        store.checksum_error = 1
        await commit(store, service("a", 0.5))
        await until(lambda: replica.follower.mismatches > 0)
        assert replica.rate("a") == 0.25
        store.checksum_error = 0
        await until(lambda: replica.rate("a") == 0.5)
        await until(lambda: replica.follower.problem is None)


async def test_a_load_that_misses_the_checksum_for_long_is_served_where_there_is_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(follower_module, "MISMATCH_SECONDS", 0.05)
    store = MemoryStore()
    await commit(store, service("a", 0.5))
    store.checksum_error = 1
    async with following(store) as replica:
        await until(lambda: replica.follower.mismatches > 0)
        assert not replica.answers.ready
        await until(lambda: replica.answers.ready)
        assert replica.rate("a") == 0.5
        assert replica.follower.problem is not None


async def test_what_is_served_stays_however_long_the_store_misses_its_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower_module, "MISMATCH_SECONDS", 0)
    store = MemoryStore()
    await commit(store, service("a", 0.25))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        store.checksum_error = 1
        await commit(store, service("a", 0.5))
        await until(lambda: replica.follower.mismatches > 3)
        assert replica.rate("a") == 0.25


async def test_a_boost_ends_by_itself_while_the_store_is_away() -> None:
    store = MemoryStore()
    ends = datetime.now(UTC) + timedelta(seconds=0.5)
    boost = Boost(ends, SamplingStrategy("probabilistic", 1))
    await commit(store, service("a", 0.5), put(Key("boost", "a"), boost))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        assert replica.rate("a") == 1
        store.fail(StoreUnavailable("gone"))
        await until(lambda: replica.rate("a") == 0.5)
        assert datetime.now(UTC) >= ends


async def test_a_large_change_is_one_step_between_polls() -> None:
    store = MemoryStore()
    await commit(store, *(service(f"s{number}", 0.25) for number in range(3000)))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        await commit(store, *(service(f"s{number}", 0.5) for number in range(3000)))
        seen: set[tuple[float, float]] = set()
        while 0.5 not in {rate for rates in seen for rate in rates}:
            seen.add((replica.rate("s0"), replica.rate("s2999")))
            await asyncio.sleep(0)
        assert seen == {(0.25, 0.25), (0.5, 0.5)}


async def test_a_policy_change_reaches_names_that_were_polled_before() -> None:
    store = MemoryStore()
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        assert replica.rate("batch-1") == 0.001
        policy = SamplingPolicy("batch-*", sampling_strategy=SamplingStrategy("probabilistic", 0.5))
        await commit(store, put(Key("policy", "batch"), policy))
        await until(lambda: replica.rate("batch-1") == 0.5)


async def test_the_store_s_clock_is_compared_with_ours() -> None:
    store = MemoryStore()
    store.clock_ahead = 60
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        assert replica.follower.clock_offset == pytest.approx(60, abs=5)

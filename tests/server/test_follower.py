"""The follower: what moves the served point, what never does, and what is answered meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import time

import pytest
from structlog.testing import capture_logs

from sampling.records import Boost, Key, SamplingPolicy
from sampling.strategy import SamplingStrategy
from server import follower as follower_module
from server import served as served_module
from server.answers import NotReady
from storage.errors import StoreUnavailable, StoreUnusable
from storage.interface import Load, Terms, Write
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


async def test_each_time_that_the_store_is_followed_again_is_counted_and_the_first_is_not() -> None:
    store = MemoryStore()
    store.failure = StoreUnavailable("not yet there")
    async with following(store) as replica:
        for times in range(3):
            await until(lambda: replica.follower.problem in ("not yet there", "gone"))
            assert replica.follower.reconnects == max(0, times - 1)
            store.fail(None)
            await until(lambda: replica.follower.problem is None)
            assert replica.follower.reconnects == times
            store.fail(StoreUnavailable("gone"))


async def test_what_is_committed_here_is_counted_by_its_kind_and_what_comes_from_elsewhere_is_not() -> None:
    store = MemoryStore()
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        writes = [*(service(f"s{number}", 0.5) for number in range(2500)), Write(Key("boost", "s1"), None)]
        await replica.follower.commit(writes, Terms(actor="t", reason=""))
        assert replica.follower.writes == {"service": 2500, "policy": 0, "boost": 1}
        point = await commit(store, service("a", 0.5))
        await until(lambda: replica.served.point == point)
        assert replica.follower.writes == {"service": 2500, "policy": 0, "boost": 1}


async def test_an_outage_is_one_line_whatever_its_reasons_and_another_kind_of_failure_is_one_more() -> None:
    store = MemoryStore()
    outage = [StoreUnavailable("shutting down"), StoreUnavailable("refused"), StoreUnavailable("starting up")]
    with capture_logs() as logs:
        async with following(store) as replica:
            await until(lambda: replica.follower.problem is None)
            for failure in (*outage, StoreUnusable("no permission"), None):
                store.fail(failure)
                await until(lambda: replica.follower.problem == (failure and str(failure)))  # noqa: B023 - it is awaited here
    told = [line.get("reason", "followed") for line in logs if line["event"].startswith("the store ")]
    assert told == ["followed", "shutting down", "no permission", "followed"]


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


async def test_a_history_is_lost_once_also_where_what_came_instead_cannot_be_loaded_at_first() -> None:
    store = MemoryStore()
    await commit(store, service("a", 0.25))
    backup = store.fork(1)
    await commit(store, service("a", 0.5))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready and replica.rate("a") == 0.5)
        store.checksum_error = 1
        store.revisions = backup.revisions
        await until(lambda: replica.follower.mismatches >= 3)
        assert replica.rate("a") == 0.5
        store.checksum_error = 0
        await until(lambda: replica.rate("a") == 0.25)
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
        await until(lambda: replica.follower.store.foreign is not None)
        problem = replica.follower.problem or ""
        assert ours in problem
        assert other.store_id in problem
        assert "tracing-config store accept" in problem
        with pytest.raises(StoreUnavailable, match="tracing-config store accept"):
            await replica.follower.commit([service("a", 1)], Terms(actor="t", reason=""))
        assert replica.rate("a") == 0.5
        assert len(store.revisions) == 3


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


async def test_a_boost_ends_by_itself_while_the_store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    now = float(int(time()))  # So that it and the end are whole microseconds, as in a record.
    for module in (follower_module, served_module):
        monkeypatch.setattr(module, "time", lambda: now)
    store = MemoryStore()
    ends = now + 0.5
    boost = Boost(datetime.fromtimestamp(ends, UTC), SamplingStrategy("probabilistic", 1))
    await commit(store, service("a", 0.5), put(Key("boost", "a"), boost))
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        assert replica.rate("a") == 1
        store.fail(StoreUnavailable("gone"))
        await until(lambda: replica.follower.problem == "gone")
        now = ends - 0.001
        await until(lambda: replica.served.catalog.instant == now)
        assert replica.rate("a") == 1
        now = ends
        await until(lambda: replica.rate("a") == 0.5)


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
        assert replica.follower.store.clock_offset == pytest.approx(60, abs=5)

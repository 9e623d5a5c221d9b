"""Removing old traces: what goes, what the log of changes tells of it, and what happens in the middle."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import pytest
from structlog.testing import capture_logs

from server.integrations import elasticsearch, trace_cleanup
from server.integrations.elasticsearch import Elasticsearch
from server.integrations.http_client import Unusable
from server.integrations.trace_cleanup import AlreadyRunning, TraceCleanup
from server.integrations.trace_indices import TraceIndices
from server.integrations.trace_schedule import TraceSchedule
from storage.errors import StoreUnavailable
from storage.history import LoggedStore, Revision, Wanted
from storage.postgres import PostgresStore
from storage.sqlite import SqliteStore
from tests.server.following import Replica, commit, following, service
from tests.server.memory_store import MemoryStore
from tests.services.elasticsearch_stand_in import ElasticsearchStandIn, Kept, failure
from tests.services.http_stand_in import FAULTS, Fault
from tests.waiting import until

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
OLD = ["jaeger-service-2026-10-24", "jaeger-span-2026-10-24", "zipkin-span-2026-10-24"]
YOUNG = ["jaeger-span-2026-10-25", "jaeger-span-2026-11-24", "zipkin-span-2026-11-25"]


@pytest.fixture
def server() -> Iterator[ElasticsearchStandIn]:
    with ElasticsearchStandIn([*OLD, *YOUNG, "unrelated-2020-01-01"]) as server:
        yield server


class Cleaning(NamedTuple):
    """A cleanup with what it works on."""

    cleanup: TraceCleanup
    store: LoggedStore
    replica: Replica

    async def entries(self) -> list[Revision]:
        """The newest first."""
        return [change.revision for change in await self.store.logged(Wanted(), 100) if change.key is None]


@asynccontextmanager
async def cleaning(store: LoggedStore, server: ElasticsearchStandIn, clock: float = NOON) -> AsyncIterator[Cleaning]:
    async with following(store) as replica:
        await until(lambda: replica.answers.ready)
        async with cleanup_of(replica, server, clock) as cleanup:
            yield Cleaning(cleanup, store, replica)
    await store.close()


@asynccontextmanager
async def cleanup_of(replica: Replica, server: ElasticsearchStandIn, clock: float = NOON) -> AsyncIterator[TraceCleanup]:
    names = TraceIndices()
    client = Elasticsearch(server.url, names)
    try:
        yield TraceCleanup(client, names, replica.follower, lambda: clock)
    finally:
        await client.close()


@pytest.fixture
async def work(server: ElasticsearchStandIn, tmp_path: Path) -> AsyncIterator[Cleaning]:
    async with cleaning(SqliteStore(tmp_path / "tracing-config.db"), server) as work:
        yield work


async def test_what_is_old_goes_and_the_log_of_changes_has_one_entry(server: ElasticsearchStandIn, work: Cleaning) -> None:
    point = await commit(work.store, service("a", 0.5))
    before = (await work.store.head()).checksum
    with capture_logs() as lines:
        done = await work.cleanup.run(30, actor="me", reason="disk full")
    assert set(server.indices) == {*YOUNG, "unrelated-2020-01-01"}
    assert (done.removed, done.failed, done.older_than, done.dry_run) == (OLD, [], date(2026, 10, 25), False)
    assert [each.index for each in done.stayed] == sorted(YOUNG)
    assert done.stayed_count == 3
    [entry] = await work.entries()
    assert (entry.revision, entry.actor) == (done.revision, "me") == (point.revision + 1, "me")
    assert entry.reason == f"removes 3 trace indices older than 2026-10-25: {', '.join(OLD)}; disk full"
    assert work.replica.served.point is not None
    assert (work.replica.served.point.revision, work.replica.served.checksum) == (entry.revision, before)
    assert work.replica.rate("a") == 0.5
    assert [line["index"] for line in lines if line["event"] == "a trace index was removed"] == OLD
    assert (work.cleanup.removed, work.cleanup.failures, work.cleanup.succeeded_at) == (3, 0, NOON)


async def test_a_dry_run_tells_the_same_and_removes_and_enters_nothing(server: ElasticsearchStandIn, work: Cleaning) -> None:
    would = await work.cleanup.look(30)
    assert not server.removals
    assert not await work.entries()
    assert (would.dry_run, would.revision) == (True, None)
    done = await work.cleanup.run(30, actor="me")
    assert (would.removed, would.stayed, would.older_than) == (done.removed, done.stayed, done.older_than)


async def test_where_nothing_is_old_nothing_is_entered_and_that_is_a_success(work: Cleaning) -> None:
    done = await work.cleanup.run(365, actor="me")
    assert (len(done.removed), done.revision, work.cleanup.succeeded_at) == (0, None, NOON)
    assert not await work.entries()


async def test_the_second_of_two_cleanups_at_once_is_refused(server: ElasticsearchStandIn, work: Cleaning) -> None:
    server.may_remove.clear()
    first = asyncio.create_task(work.cleanup.run(30, actor="me"))
    await until(server.removing.is_set)
    with pytest.raises(AlreadyRunning):
        await work.cleanup.run(30, actor="you")
    server.may_remove.set()
    assert (await first).removed == OLD
    assert not (await work.cleanup.run(30, actor="you")).removed
    assert len(await work.entries()) == 1


@pytest.mark.parametrize(("ours", "stores", "elsewhere"), [(-86_400, 0.0, 0), (0, -86_400.0, 0), (0, 0.0, -86_400)])
async def test_the_earliest_of_three_clocks_says_which_day_it_is(
    ours: int, stores: float, elsewhere: int, server: ElasticsearchStandIn
) -> None:
    store = MemoryStore()
    store.clock_ahead = stores
    server.clock = int(NOON) + elsewhere
    async with following(store) as replica, cleanup_of(replica, server, NOON + ours) as cleanup:
        await until(lambda: replica.answers.ready)
        assert not (await cleanup.look(30)).removed


@pytest.mark.parametrize("ahead", [-1e12, 1e12, 86_400.0])
async def test_a_store_whose_clock_is_wrong_makes_nothing_older(ahead: float, server: ElasticsearchStandIn) -> None:
    store = MemoryStore()
    store.clock_ahead = ahead
    async with following(store) as replica, cleanup_of(replica, server) as cleanup:
        await until(lambda: replica.answers.ready)
        assert (await cleanup.look(30)).removed == (OLD if ahead > 0 else [])


async def test_the_clock_of_the_store_is_read_when_something_is_to_be_removed(server: ElasticsearchStandIn) -> None:
    store = MemoryStore()
    async with following(store, tick=60) as replica, cleanup_of(replica, server) as cleanup:
        await until(lambda: replica.answers.ready)
        store.clock_ahead = -86_400.0
        assert not (await cleanup.run(30, actor="me")).removed


async def test_what_an_alias_writes_to_stays_and_what_it_only_reads_goes(server: ElasticsearchStandIn, work: Cleaning) -> None:
    server.indices |= {
        OLD[0]: Kept({"all": None}),
        OLD[1]: Kept({"all": None, "write": True}),
        OLD[2]: Kept({"all": None, "only": None}),
    }
    done = await work.cleanup.run(30, actor="me")
    assert done.removed == OLD[:1]
    told = {each.index: each.reason for each in done.stayed}
    assert (told[OLD[1]], told[OLD[2]]) == ("the alias write writes to it", "the alias only writes to it")


async def test_an_index_that_is_refused_stays_alone_and_a_second_entry_says_so(
    server: ElasticsearchStandIn, work: Cleaning
) -> None:
    server.refused[OLD[1]] = failure(400, "snapshot_in_progress_exception", "it is being copied")
    done = await work.cleanup.run(30, actor="me")
    assert (done.removed, [each.index for each in done.failed]) == ([OLD[0], OLD[2]], [OLD[1]])
    assert "it is being copied" in done.failed[0].reason
    second, first = await work.entries()
    assert first.reason.startswith("removes 3 trace indices")
    assert second.reason.startswith(f"1 of the 3 trace indices of revision {first.revision} stayed: {OLD[1]}; snapshot_in_")
    assert (second.actor, work.cleanup.failures, work.cleanup.succeeded_at) == ("me", 1, None)


@pytest.mark.parametrize(
    ("kind", "removed", "asked"),
    [("cluster_block_exception", [OLD[0], OLD[2]], 3), ("security_exception", [OLD[0]], 2)],
)
async def test_an_index_that_is_read_only_is_in_no_other_ones_way_and_a_user_who_may_not_is_told(
    server: ElasticsearchStandIn, work: Cleaning, kind: str, removed: list[str], asked: int
) -> None:
    server.refused[OLD[1]] = failure(403, kind, "index [it] blocked by: [FORBIDDEN/5/index read-only (api)];")
    done = await work.cleanup.run(30, actor="me")
    assert (done.removed, [each.index for each in done.failed], len(server.removals)) == (removed, [OLD[1]], asked)
    assert kind in done.failed[0].reason


async def test_a_server_that_fails_in_the_middle_is_asked_no_more(server: ElasticsearchStandIn, work: Cleaning) -> None:
    server.refused[OLD[1]] = failure(503, "cluster_block_exception", "no master")
    done = await work.cleanup.run(30, actor="me")
    assert (done.removed, [each.index for each in done.failed]) == ([OLD[0]], [OLD[1]])
    assert {each.index: each.reason for each in done.stayed}[OLD[2]] == "not tried after that failure"
    assert len(server.removals) == 2
    second, _ = await work.entries()
    assert f"2 of the 3 trace indices of revision {done.revision} stayed: {OLD[1]}, {OLD[2]}" in second.reason


async def test_what_time_is_too_short_for_stays_and_is_told(
    server: ElasticsearchStandIn, work: Cleaning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_cleanup, "monotonic", lambda: monotonic() + trace_cleanup.RUN_SECONDS * len(server.removals))
    done = await work.cleanup.run(30, actor="me")
    assert (done.removed, done.failed) == (OLD[:1], [])
    told = {each.index: each.reason for each in done.stayed}
    assert told[OLD[1]] == told[OLD[2]] == "the 60 s of a cleanup were over; the next one removes it"
    assert done.stayed_count == len(done.stayed) == 5
    second, _ = await work.entries()
    assert "2 of the 3" in second.reason
    assert work.cleanup.failures == 0


async def test_more_than_are_removed_at_once_wait_for_the_next_and_long_lists_are_cut(
    server: ElasticsearchStandIn, work: Cleaning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_cleanup, "MOST_AT_ONCE", 2)
    monkeypatch.setattr(trace_cleanup, "SHOWN_STAYED", 3)
    monkeypatch.setattr(trace_cleanup, "ENTRY_CHARACTERS", 30)
    done = await work.cleanup.run(30, actor="me")
    assert (done.removed, len(done.stayed), done.stayed_count) == (OLD[:2], 3, 4)
    assert (done.stayed[0].index, "more than 2 are old" in done.stayed[0].reason) == (OLD[2], True)
    [entry] = await work.entries()
    assert entry.reason == f"removes 2 trace indices older than 2026-10-25: {OLD[0]} and 1 more"


async def test_without_the_store_nothing_is_removed(server: ElasticsearchStandIn) -> None:
    store = MemoryStore()
    async with following(store) as replica, cleanup_of(replica, server) as cleanup:
        await until(lambda: replica.answers.ready)
        store.failure = StoreUnavailable("gone")
        with pytest.raises(StoreUnavailable):
            await cleanup.run(30, actor="me")
        assert (server.removals, cleanup.failures) == ([], 1)


async def test_more_names_than_are_looked_at_are_refused(
    server: ElasticsearchStandIn, work: Cleaning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_cleanup, "MOST_LISTED", len(OLD) + len(YOUNG) - 1)
    with pytest.raises(Unusable, match="lists more than 5 names"):
        await work.cleanup.run(30, actor="me")
    assert not server.removals


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_server_that_cannot_tell_what_there_is_loses_nothing(
    server: ElasticsearchStandIn, work: Cleaning, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault in ("hang", "slow"):
        monkeypatch.setattr(elasticsearch, "LIST_SECONDS", 0.2)
    server.fault = fault
    with pytest.raises(Unusable):
        await work.cleanup.run(30, actor="me")
    server.fault = None
    assert not server.removals
    assert not await work.entries()
    assert work.cleanup.failures == 1
    assert (await work.cleanup.run(30, actor="me")).removed == OLD


async def test_one_that_is_stopped_in_the_middle_has_told_what_it_was_about_to_do_and_tells_what_stayed(
    server: ElasticsearchStandIn, work: Cleaning
) -> None:
    server.may_remove.clear()
    task = asyncio.create_task(work.cleanup.run(30, actor="me"))
    await until(server.removing.is_set)
    [entry] = await work.entries()  # It is there before anything is removed.
    assert set(server.indices) > set(OLD)
    task.cancel()
    await work.cleanup.close()  # The library that answers requests does not wait for what it cancels.
    second, first = await work.entries()
    assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
    assert first == entry
    assert second.reason.endswith(f"{', '.join(OLD)}; it is not known whether it was removed")


@asynccontextmanager
async def scheduled(cleanings: list[Cleaning]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Each of them tries some hundred times a second."""
    tasks = [asyncio.create_task(TraceSchedule(each.cleanup, 30, seconds=0.01).run()) for each in cleanings]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_of_two_replicas_on_one_database_exactly_one_removes(server: ElasticsearchStandIn, postgres_url: str) -> None:
    server.may_remove.clear()
    async with AsyncExitStack() as stack:
        both = [await stack.enter_async_context(cleaning(PostgresStore(postgres_url), server)) for _ in range(2)]
        lines = stack.enter_context(capture_logs())
        await stack.enter_async_context(scheduled(both))
        await until(server.removing.is_set)
        lines.clear()
        await until(lambda: sum(line["event"] == "another replica removes old traces" for line in lines) > 5)
        assert len(server.removals) == 1
        [entry] = await both[0].entries()
        assert entry.actor == "schedule"
        server.may_remove.set()
        await until(lambda: not set(OLD) & set(server.indices))
        await until(lambda: all(each.cleanup.succeeded_at for each in both))
        assert len(server.removals) == 3
        assert sum(each.cleanup.removed for each in both) == 3
        assert max(each.cleanup.removed for each in both) == 3
        assert await both[0].entries() == [entry]


async def test_the_schedule_goes_on_after_failures(server: ElasticsearchStandIn, work: Cleaning) -> None:
    server.fault = "error"
    with capture_logs() as lines:
        async with scheduled([work]):
            await until(lambda: work.cleanup.failures >= 3)
            server.fault = None
            await until(lambda: work.cleanup.removed == 3)
            await until(lambda: lines[-1]["event"] == "old traces can be removed again")
    told = [line["log_level"] for line in lines if line["event"].startswith("old traces")]
    assert (told[0], set(told[1:-1]), told[-1]) == ("warning", {"debug"}, "info")


async def test_what_cannot_be_removed_again_and_again_is_tried_ever_less_often(
    server: ElasticsearchStandIn, work: Cleaning
) -> None:
    server.refused |= dict.fromkeys(OLD, failure(400, "snapshot_in_progress_exception", "it is being copied"))
    schedule = TraceSchedule(work.cleanup, 30, seconds=1)
    assert [await schedule.attempt() for _ in range(6)] == [2, 4, 8, 16, 24, 24]
    server.refused.clear()
    assert await schedule.attempt() == 1

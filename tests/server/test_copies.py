"""The copies: which one a start loads, and when one is written."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest
from structlog.testing import capture_logs

from sampling.records import Change
from sampling.strategies_file import NO_FILE
from server import copies as copies_module
from server.answers import Answers
from server.copies import CopyKeeper, load_base
from server.served import Served
from storage.errors import CopyInvalid, StoreError, StoreUnavailable
from storage.interface import Head, Point
from tests.server.following import base_of, commit, replace_with, service
from tests.server.memory_copies import MemoryCopies
from tests.server.memory_store import MemoryStore
from tests.waiting import until


@pytest.fixture
def served() -> Served:
    return Served(Answers(), NO_FILE)


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore()
    await commit(store, service("a", 0.25))
    return store


async def test_a_start_loads_the_newest_copy(served: Served, store: MemoryStore) -> None:
    older = await base_of(store)
    point = await commit(store, service("a", 0.5))
    newer = msgspec.structs.replace(await base_of(store), checked_at=older.checked_at + 1)
    await load_base({"snapshot": MemoryCopies(older), "hot copy": MemoryCopies(newer)}, served)
    assert served.point == point
    again = Served(Answers(), NO_FILE)
    await load_base({"snapshot": MemoryCopies(newer), "hot copy": MemoryCopies(older)}, again)
    assert again.point == point


async def test_a_start_passes_over_a_copy_of_another_store_than_its_snapshot(served: Served, store: MemoryStore) -> None:
    ours = await base_of(store)
    other = msgspec.structs.replace(await base_of(MemoryStore()), checked_at=ours.checked_at + 60)
    await load_base({"snapshot": MemoryCopies(ours), "hot copy": MemoryCopies(other)}, served)
    assert served.point == ours.point


@pytest.mark.parametrize("failure", [CopyInvalid("garbage"), StoreUnavailable("away")])
async def test_a_start_passes_over_a_copy_that_cannot_be_read(served: Served, store: MemoryStore, failure: StoreError) -> None:
    bad, good = MemoryCopies(), MemoryCopies(await base_of(store))
    bad.failure = failure
    await load_base({"snapshot": bad, "hot copy": good}, served)
    assert served.point is not None


async def test_a_start_without_copies_serves_nothing(served: Served) -> None:
    await load_base({"snapshot": MemoryCopies()}, served)
    assert served.point is None


@asynccontextmanager
async def kept(copies: MemoryCopies, served: Served) -> AsyncIterator[CopyKeeper]:
    keeper = CopyKeeper("test", copies, served, longest_wait=0.01)
    task = asyncio.create_task(keeper.run())
    try:
        yield keeper
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_copy_follows_what_is_served(served: Served, store: MemoryStore) -> None:
    copies = MemoryCopies()
    async with kept(copies, served):
        for rate in (0.25, 0.5):
            point = await commit(store, service("a", rate))
            await replace_with(served, await base_of(store))
            await until(lambda: _point(copies) == served.point)
            assert served.point == point
    assert copies.writes == 2


def _point(copies: MemoryCopies) -> Point | None:
    return None if copies.copy is None else copies.copy.point


async def test_a_copy_that_another_replica_wrote_is_not_written_again(served: Served, store: MemoryStore) -> None:
    copies = MemoryCopies(await base_of(store))
    await replace_with(served, await base_of(store))
    assert await CopyKeeper("test", copies, served, 0).bring_up_to_date() == served.point
    assert copies.writes == 0


async def test_a_copy_that_was_lost_or_damaged_is_written_again_without_a_change(
    served: Served, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies_module, "CHECK_SECONDS", 0.01)
    copies = MemoryCopies()
    await replace_with(served, await base_of(store))
    async with kept(copies, served):
        await until(lambda: copies.writes == 1)
        copies.copy = None
        await until(lambda: copies.writes == 2)
        copies.failure = CopyInvalid("garbage")
        await until(lambda: copies.writes == 3)


async def test_a_place_that_is_away_is_told_and_tried_again(
    served: Served, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies_module, "RETRY_SECONDS", 0.01)
    copies = MemoryCopies()
    copies.failure = StoreUnavailable("away")
    await replace_with(served, await base_of(store))
    async with kept(copies, served) as keeper:
        await until(lambda: keeper.problem == "away")
        copies.failure = None
        await until(lambda: copies.writes == 1)
        await until(lambda: keeper.problem is None)


@pytest.mark.parametrize("is_known", [False, True])
async def test_a_place_that_is_away_is_one_line_or_none_where_the_log_knows_it_already(
    served: Served, store: MemoryStore, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    monkeypatch.setattr(copies_module, "RETRY_SECONDS", 0.0)
    copies = MemoryCopies()
    await replace_with(served, await base_of(store))
    keeper = CopyKeeper("test", copies, served, 0.0, lambda: is_known)
    with capture_logs() as logs:
        task = asyncio.create_task(keeper.run())
        for reason in ("away", "shutting down", "away"):
            copies.failure = StoreUnavailable(reason)
            await until(lambda: keeper.problem == reason)  # noqa: B023 - it is awaited here
        copies.failure = None
        await until(lambda: keeper.problem is None)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [line["log_level"] for line in logs] == ([] if is_known else ["warning", "info"])


async def test_a_copy_is_rewritten_where_it_is_at_the_same_point(served: Served, store: MemoryStore) -> None:
    base = await base_of(store)
    copies = MemoryCopies(base)
    await replace_with(served, base)
    keeper = CopyKeeper("test", copies, served, 0)
    assert await keeper.rewrite() is None
    assert copies.writes == 1


async def test_a_copy_that_cannot_be_rewritten_says_why(served: Served, store: MemoryStore) -> None:
    copies = MemoryCopies()
    keeper = CopyKeeper("test", copies, served, 0)
    assert await keeper.rewrite() == "nothing is served yet"
    base = await base_of(store)
    await replace_with(served, base)
    copies.failure = StoreUnavailable("away")
    assert await keeper.rewrite() == keeper.problem == "away"
    copies.failure = None
    other = await base_of(MemoryStore())
    copies.copy = other
    assert other.point.store_id in str(await keeper.rewrite())
    later = msgspec.structs.replace(base.point, revision=9)
    copies.copy = msgspec.structs.replace(base, point=later, checked_at=base.checked_at + 60)
    assert "newer" in str(await keeper.rewrite())
    assert copies.writes == 0


async def test_the_copy_of_the_store_whose_place_was_taken_is_replaced_and_does_not_come_back(store: MemoryStore) -> None:
    old, there = Served(Answers(), NO_FILE), await base_of(store)
    await replace_with(old, there)
    other = MemoryStore()
    point = await commit(other, service("a", 0.75))
    new = Served(Answers(), NO_FILE)
    await replace_with(new, await base_of(other))
    copies = MemoryCopies(there)
    keeper = CopyKeeper("test", copies, new, 0)
    await keeper.bring_up_to_date()
    assert _point(copies) == old.point
    new.accepted = (store.store_id,)
    await keeper.bring_up_to_date()
    assert _point(copies) == point
    old.checked_at += 60
    await CopyKeeper("cut off", copies, old, 0).bring_up_to_date()
    assert _point(copies) == point


async def test_a_load_from_a_copy_must_come_out_at_its_checksum(served: Served, store: MemoryStore) -> None:
    copy = await base_of(store)

    async def one_chunk() -> AsyncIterator[Sequence[Change]]:
        yield copy.changes

    with pytest.raises(StoreError):
        await served.replace(Head(copy.point, copy.checksum + 1, copy.checked_at), one_chunk(), instead_of=None)
    assert served.point is None

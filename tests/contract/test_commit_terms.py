"""What must be so for a batch to be committed: the point it was worked out for, and whose its records are."""

import asyncio

import pytest
from msgspec.structs import replace

from sampling.records import Key
from storage.errors import OutOfScope, OwnedByAnother, StoreUnavailable
from storage.history import LoggedStore
from storage.interface import Terms, Write
from tests.contract.conftest import OpenStore
from tests.contract.writes import bodies, boost, commit, policy, service

SIZES = pytest.mark.parametrize("size", [1, 2, 1_200], ids=["one write", "a small batch", "a staged batch"])


def batch(size: int) -> list[Write]:
    return [service(f"s{number}") for number in range(size)]


@SIZES
async def test_what_was_committed_after_the_point_of_a_batch_is_undone_too_but_for_boosts(
    store: LoggedStore, size: int
) -> None:
    wanted = (await commit(store, service("kept", 0.1), service("changed", 0.1), service("deleted", 0.1))).head.point
    since = (await commit(store, *batch(size), service("changed", 0.2), service("back", 0.2))).head.point
    undone = await store.differences(wanted.revision, since.revision)
    await commit(store, service("new", 0.3), service("kept", 0.3), service("back", 0.3), boost("boosted"))
    await commit(store, Write(Key("service", "deleted"), None), service("s0", 0.3), policy("default"), service("new", 0.4))
    writes = [Write(difference.key, difference.before) for difference in undone.records]

    committed = await store.commit(writes, Terms(actor="me", undo_since=since))

    left = (await store.differences(wanted.revision, None)).records
    assert [difference.key for difference in left] == [Key("boost", "boosted")]
    assert {change.key.name for change in committed.changes} >= {"new", "kept", "deleted", "default", "changed", "back", "s0"}
    assert committed.head.point == (await store.head()).point
    async with store.state_at(committed.head.point.revision) as log:
        logged = {change.key: change.record.body async for chunk in log for change in chunk if change.record}
    assert await bodies(store) == logged


@SIZES
async def test_a_batch_of_what_is_so_already_undoes_what_came_after_its_point(store: LoggedStore, size: int) -> None:
    since = (await commit(store, *batch(size))).head.point
    assert not (await store.commit(batch(size), Terms(actor="", undo_since=since))).changes
    before = await bodies(store)
    await commit(store, service("somebody else's"), service("s0", 0.9))
    await store.commit(batch(size), Terms(actor="", undo_since=since))
    assert await bodies(store) == before


@SIZES
async def test_a_batch_undoes_also_far_more_than_it_writes(store: LoggedStore, size: int) -> None:
    since = (await commit(store, *batch(size))).head.point
    before = await bodies(store)
    await commit(store, *(service(f"new-{number}") for number in range(1_500)), service("s0", 0.9))
    await store.commit(batch(size), Terms(actor="", undo_since=since))
    assert await bodies(store) == before
    assert (await store.differences(since.revision, None)).records == []


@SIZES
async def test_a_batch_that_was_worked_out_for_another_history_is_refused_and_changes_nothing(
    store: LoggedStore, size: int
) -> None:
    point = (await commit(store, service("a"))).head.point
    for since in (
        replace(point, commit_id="0" * 16),
        replace(point, store_id="0" * 32),
        replace(point, revision=point.revision + 1),
    ):
        with pytest.raises(StoreUnavailable, match="any more"):
            await store.commit(batch(size), Terms(actor="", undo_since=since))
    assert (await store.head()).point == point


@SIZES
async def test_a_rollback_among_many_writers_comes_out_at_its_revision(
    store: LoggedStore, open_store: OpenStore, size: int
) -> None:
    other = await open_store()
    wanted = (await commit(store, service("a", 0.1))).head.point
    await commit(store, *batch(size))
    undone = await store.differences(wanted.revision, None)
    writes = [Write(difference.key, difference.before) for difference in undone.records]
    *_, committed = await asyncio.gather(
        *(commit(other, service("a", number / 10), service(f"new-{number}")) for number in range(5)),
        store.commit(writes, Terms(actor="me", undo_since=undone.head)),
    )
    assert (await store.differences(wanted.revision, committed.head.point.revision)).records == []


@SIZES
async def test_what_its_writer_may_not_write_is_not_undone_either_and_nothing_is_changed(store: LoggedStore, size: int) -> None:
    since = (await commit(store, *batch(size))).head.point
    await commit(store, service("s0", 0.9), boost("other"))
    terms = Terms(actor="", undo_since=since, may_write=lambda key: key.name.startswith("s"))
    assert [change.key.name for change in (await store.commit(batch(size), terms)).changes] == ["s0"]
    head = (await commit(store, service("other"))).head.point
    with pytest.raises(OutOfScope, match="other"):
        await store.commit(batch(size), terms)
    assert (await store.head()).point == head


@SIZES
async def test_what_is_undone_belongs_to_its_owner_too(store: LoggedStore, size: int) -> None:
    since = (await commit(store, *batch(size))).head.point
    head = (await commit(store, service("theirs", managed_by="them"))).head.point
    with pytest.raises(OwnedByAnother) as caught:
        await store.commit(batch(size), Terms(actor="", undo_since=since))
    assert caught.value.owners == {Key("service", "theirs"): "them"}
    assert (await store.head()).point == head


@SIZES
async def test_a_refusal_names_every_record_of_another_owner(store: LoggedStore, size: int) -> None:
    await commit(
        store,
        service("x", managed_by="x"),
        service("y", managed_by="y"),
        service("y too", managed_by="y"),
        service("mine", managed_by="me"),
        service("nobody's"),
    )
    before = await bodies(store)
    writes = [
        *(service(name, 0.1) for name in ("x", "mine", "nobody's", "new")),
        Write(Key("service", "y"), None),
        *batch(size),
    ]
    for owner, others in (
        ("me", {"x": "x", "y": "y"}),
        ("y", {"x": "x", "mine": "me"}),
        (None, {"x": "x", "mine": "me", "y": "y"}),
    ):
        with pytest.raises(OwnedByAnother) as caught:
            await store.commit(writes, Terms(actor="", owner=owner))
        assert caught.value.owners == {Key("service", name): other for name, other in others.items()}
    assert ((await store.head()).point.revision, await bodies(store)) == (1, before)
    await store.commit(writes, Terms(actor="", owner="me", takeover=True))
    assert (await bodies(store))[Key("service", "x")] == service("x", 0.1).body

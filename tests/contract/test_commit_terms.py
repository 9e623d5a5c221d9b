"""What must be so for a batch to be committed: the point it was worked out for, and whose its records are."""

import asyncio

import pytest
from msgspec.structs import replace

from sampling.records import Key
from storage.errors import HeadMoved, OwnedByAnother
from storage.history import LoggedStore
from storage.interface import Committed, Terms, Write
from tests.contract.conftest import OpenStore
from tests.contract.writes import bodies, boost, commit, service

SIZES = pytest.mark.parametrize("size", [1, 2, 1_200], ids=["one write", "a small batch", "a staged batch"])


def batch(size: int) -> list[Write]:
    return [service(f"s{number}") for number in range(size)]


@SIZES
async def test_a_batch_that_was_worked_out_for_an_older_point_is_refused_and_changes_nothing(
    store: LoggedStore, size: int
) -> None:
    old = (await store.head()).point
    head = (await commit(store, boost("somebody else's"))).head
    before = await bodies(store)
    with pytest.raises(HeadMoved, match=f"{old} to {head.point}"):
        await store.commit(batch(size), Terms(actor="", at=old))
    assert ((await store.head()).point, await bodies(store)) == (head.point, before)
    committed = await store.commit(batch(size), Terms(actor="", at=head.point))
    assert committed.head.point.revision == 2
    assert len(await bodies(store)) == size + 2


@SIZES
async def test_a_batch_that_was_worked_out_for_the_same_revision_of_another_history_is_refused(
    store: LoggedStore, size: int
) -> None:
    point = (await store.head()).point
    for at in (replace(point, commit_id="0" * 16), replace(point, store_id="0" * 32)):
        with pytest.raises(HeadMoved):
            await store.commit(batch(size), Terms(actor="", at=at))
    assert (await store.head()).point == point


@SIZES
async def test_a_batch_that_would_change_nothing_is_refused_too_when_the_log_has_moved_on(
    store: LoggedStore, size: int
) -> None:
    old = (await commit(store, *batch(size))).head.point
    assert not (await store.commit(batch(size), Terms(actor="", at=old))).changes
    await commit(store, boost("somebody else's"))
    with pytest.raises(HeadMoved):
        await store.commit(batch(size), Terms(actor="", at=old))


@SIZES
async def test_only_one_of_many_batches_for_the_same_point_is_committed(
    store: LoggedStore, open_store: OpenStore, size: int
) -> None:
    stores = [store, await open_store()]
    at = (await store.head()).point
    outcomes = await asyncio.gather(
        *(
            stores[number % 2].commit([service("which", number / 10), *batch(size)[1:]], Terms(actor="", at=at))
            for number in range(6)
        ),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [Committed.__name__] + [HeadMoved.__name__] * 5
    assert (await store.head()).point.revision == 1


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

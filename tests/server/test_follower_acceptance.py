"""Another store takes the place of the followed one, when that is accepted."""

import pytest
from structlog.testing import capture_logs

from server.followed_store import AnotherStore, NothingToAccept
from storage.errors import StoreUnavailable
from storage.interface import Terms
from tests.server.following import another_store, base_of, commit, following, service
from tests.server.memory_store import MemoryStore
from tests.waiting import until


async def test_an_accepted_store_is_followed_by_every_replica_of_the_one_whose_place_it_took() -> None:
    store = MemoryStore()
    await commit(store, service("a", 0.5), service("gone", 0.5))
    async with following(store) as one, following(store) as two:
        await until(lambda: one.answers.ready and two.answers.ready)
        abandoned, other = one.served.point, await another_store(0.75)
        store.be_replaced_by(other)
        store.news.set()
        await until(lambda: one.follower.store.foreign is not None and two.follower.store.foreign is not None)
        with capture_logs() as logs:
            await one.follower.accept(other.store_id)
            assert one.served.point == (await store.head()).point
            await until(lambda: two.served.point == one.served.point)
        for replica in (one, two):
            assert (replica.rate("a"), replica.rate("gone")) == (0.75, 0.001)
            assert replica.lost == [abandoned]
            assert replica.follower.store.foreign is None
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
        await until(lambda: replica.follower.store.foreign is not None)
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

"""The store that what is served comes from: opened when it answers, refused when another stands in its place."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from time import time

from msgspec.structs import replace

from server.served import Served
from storage.errors import StoreEmpty, StoreUnavailable, StoreUnusable
from storage.interface import Committed, Head, Load, News, Point, PoolState, Store, Terms, Write

LAGGING = "the store is a standby that has not reached the served revision"


class NothingToAccept(Exception):
    """Is raised when the store is the one that is followed, or nothing is served that another could take the place of."""


class AnotherStore(Exception):
    """Is raised when the store that is there is not the one that was to be accepted."""

    def __init__(self, found: str | None, served: str) -> None:
        """``found`` is None where the database is empty."""
        self.found, self.served = found, served
        is_there = "an empty database" if found is None else f"the store {found}"
        super().__init__(f"what is there is {is_there}, what is served comes from {served}; accept what is there, by its id")


class FollowedStore:
    """Knows the followed store from another one at its address. Every method raises what ``Store`` raises."""

    def __init__(self, store: Store, served: Served) -> None:
        self._store, self._served = store, served
        self.name = store.name
        self.is_open = False
        self.foreign: Point | None = None
        """The head of another store that took the place of ours; never followed unasked."""
        self.clock_offset = 0.0
        """Seconds by which the store's clock is ahead of ours at least; 0 where both may show the same."""

    @property
    def address(self) -> str:
        """Names the database, without its secrets, by the address that is in use."""
        return self._store.address

    @property
    def pool(self) -> PoolState | None:
        """As ``Store.pool``."""
        return self._store.pool

    def open_again(self) -> None:
        """Before it is asked next: a backup of an older schema may have been restored, which opening brings up to date."""
        self.is_open = False

    async def head(self) -> Head:
        """Its newest commit, with the commit id at the served revision. An empty database is filled if nothing is served.

        Raises:
            StoreUnavailable: also where another store stands in its place.
        """
        at = self._served.point
        if not self.is_open:
            await self._store.open(create=at is None)
            self.is_open = True
        asked = time()
        head = await self._store.head(None if at is None else at.revision)
        self.clock_offset = _offset(head.clock, asked, time())
        self._check_is_ours(head, at)
        self._served.accepted = head.accepted
        return head

    async def changes_since(self, revision: int) -> News:
        return await self._store.changes_since(revision)

    async def wait_for_news(self, seconds: float) -> None:
        await self._store.wait_for_news(seconds)

    @asynccontextmanager
    async def load(self, at: Point | None) -> AsyncIterator[Load]:
        """Everything, from a server that is not behind ``at``, the served point."""
        async with self._store.load() as load:
            # Its connection may have come to another server than the one that was asked for the head.
            self._check_is_ours(load.head, at)
            point = load.head.point
            if at is not None and load.head.in_recovery and point.store_id == at.store_id and point.revision < at.revision:
                raise StoreUnavailable(LAGGING)
            yield load

    async def commit(self, writes: Sequence[Write], terms: Terms) -> Committed:
        """As ``Store.commit``, to this store only."""
        at = self._served.point
        return await self._store.commit(writes, terms if at is None else replace(terms, store_id=at.store_id))

    def alone(self, name: str) -> AbstractAsyncContextManager[bool]:
        """As ``Store.alone``."""
        return self._store.alone(name)

    async def accept(self, store_id: str | None) -> None:
        """Tell the store that took the place of the followed one to take it; raises as ``Follower.accept``."""
        at = self._served.point
        if at is None:
            raise NothingToAccept("nothing is served yet: the store that answers first is followed")
        head = await self._head_of_any(at)
        found = None if head is None else head.point.store_id
        if found == at.store_id:
            raise NothingToAccept(f"the store {found} is the one that is followed")
        if found != store_id:
            raise AnotherStore(found, at.store_id)
        if head is None:
            await self._store.open(create=True)
            self.is_open = True
            head = await self._store.head(at.revision)
            if head.point.revision > 0:  # Somebody restored one meanwhile, which nobody has named.
                raise AnotherStore(head.point.store_id, at.store_id)
        if at.store_id not in head.accepted:
            await self._store.accept(at.store_id)

    async def _head_of_any(self, at: Point) -> Head | None:
        """The head of whatever store is there; None where the database is empty."""
        if self.is_open:
            with suppress(StoreUnusable):  # Its tables may be gone, which opening it finds out.
                return await self._store.head(at.revision)
        self.is_open = False
        await self._store.close()
        try:
            await self._store.open(create=False)
        except StoreEmpty:
            return None
        self.is_open = True
        return await self._store.head(at.revision)

    def _check_is_ours(self, head: Head, at: Point | None) -> None:
        """Refuse another store, unless it was accepted in place of the followed one."""
        if at is None or at.store_id in (head.point.store_id, *head.accepted):
            return
        self.foreign = head.point
        raise StoreUnavailable(
            f"the store has the id {head.point.store_id}, what is served comes from {at.store_id}; "
            "answers stay and writes are refused; if the new store is meant: `tracing-config store accept`"
        )


def _offset(clock: float, asked: float, answered: float) -> float:
    """How far a clock is ahead of ours that was read somewhen between asking and the answer: a slow answer is no offset."""
    return max(0.0, clock - answered) + min(0.0, clock - asked)

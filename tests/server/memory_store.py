"""A store in memory, to put the follower into situations that a real store shows rarely."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import time

from sampling.records import Change, Key, Stored
from storage.checksum import checksum_of
from storage.errors import StoreEmpty, StoreError, StoreUnavailable, StoreUnusable
from storage.interface import Committed, Head, Load, News, Point, Terms, Write


class MemoryStore:
    """Keeps every revision. ``failure`` is raised by every method while it is set."""

    name = "memory"
    address = "memory"
    pool = None

    def __init__(self, store_id: str | None = None) -> None:
        self.store_id = store_id or secrets.token_hex(16)
        self.revisions: list[tuple[str, dict[Key, Stored]]] = [(secrets.token_hex(8), {})]
        self.failure: StoreError | None = None
        self.in_recovery = False
        self.clock_ahead = 0.0
        self.accepted: tuple[str, ...] = ()
        self.checksum_error = 0
        """Added to every checksum, as if records were missing."""
        self.news = asyncio.Event()
        self.quiet = False
        """Nobody is told of commits."""
        self.may_be_filled: bool | None = None
        """What the last ``open`` allowed."""
        self.empty = False
        """There are no tables, as in a database that was made anew."""
        self.asked = asyncio.Event()
        """Set at each head query."""

    def fork(self, revision: int) -> "MemoryStore":
        """The same store restored from a backup of an earlier revision."""
        twin = MemoryStore(self.store_id)
        twin.revisions = self.revisions[: revision + 1]
        return twin

    def be_replaced_by(self, other: "MemoryStore") -> None:
        """Another store stands at the same address from now on."""
        self.store_id, self.revisions, self.accepted, self.empty = other.store_id, other.revisions, other.accepted, other.empty

    async def open(self, *, create: bool = True) -> None:
        self.may_be_filled = create
        if self.failure is None and self.empty:
            if not create:
                raise StoreEmpty("the database is empty")
            self.be_replaced_by(MemoryStore())
        self._check()

    async def close(self) -> None:
        pass

    async def head(self, served: int | None = None) -> Head:
        self.asked.set()
        return self._head(served)

    def _head(self, served: int | None = None) -> Head:
        self._check()
        known = served is not None and served < len(self.revisions)
        commit_id, records = self.revisions[-1]
        checksum = checksum_of(Change(key, record) for key, record in records.items())
        return Head(
            Point(self.store_id, len(self.revisions) - 1, commit_id),
            (checksum + self.checksum_error) % 2**64,
            time() + self.clock_ahead,
            self.in_recovery,
            self.revisions[served][0] if known and served is not None else None,
            self.accepted,
        )

    async def changes_since(self, revision: int) -> News:
        head = self._head()
        before, after = self.revisions[revision][1], self.revisions[-1][1]
        changed = {key for key in before | after if before.get(key) != after.get(key)}
        return News(head, [Change(key, after.get(key)) for key in changed])

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Load]:
        yield _Load(self._head(), self.revisions[-1][1])

    async def commit(self, writes: Sequence[Write], terms: Terms) -> Committed:
        self._check()
        if terms.store_id not in (None, self.store_id):
            raise StoreUnavailable("another store")
        commit_id, records = secrets.token_hex(8), dict(self.revisions[-1][1])
        changes = []
        for write in writes:
            record = None if write.body is None else Stored(len(self.revisions), commit_id, write.body)
            records.pop(write.key, None)
            if record is not None:
                records[write.key] = record
            changes.append(Change(write.key, record))
        self.revisions.append((commit_id, records))
        if not self.quiet:
            self.news.set()
        return Committed(self._head(), changes)

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[bool]:
        self._check()
        yield True

    async def accept(self, store_id: str) -> None:
        self._check()
        self.accepted += (store_id,)

    async def wait_for_news(self, seconds: float) -> None:
        self._check()
        try:
            await asyncio.wait_for(self.news.wait(), seconds)
        except TimeoutError:
            return
        self.news.clear()
        self._check()

    def fail(self, failure: StoreError | None) -> None:
        self.failure = failure
        self.news.set()

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self.empty:
            raise StoreUnusable("there are no tables")


class _Load:
    def __init__(self, head: Head, records: dict[Key, Stored]) -> None:
        self.head = head
        self._records = records

    async def __aiter__(self) -> AsyncIterator[Sequence[Change]]:
        yield [Change(key, record) for key, record in self._records.items()]

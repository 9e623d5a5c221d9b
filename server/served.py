"""What this replica serves: one catalog at one point. It changes in one step, between polls."""

import asyncio
from collections.abc import AsyncIterable, Generator, Iterable, Iterator, Sequence
from itertools import islice
from time import time

from sampling.catalog import Catalog
from sampling.records import KINDS, Change, Key, Kind
from sampling.strategies_file import StrategiesFile
from server.answers import Answers
from storage.checksum import MASK, checksum_of, record_hash
from storage.errors import ContentMismatch, StoreUnavailable
from storage.interface import Copy, Head, Point
from storage.pacing import paced

IN_PLACE = 100
"""Up to this many changes are applied to the catalog itself (under 0.5 ms); more to a copy made aside."""


class Served:
    """Prepares changes aside, in slices, and swaps them in. One change is prepared at a time.

    ``point`` is None until something was taken. Nothing is answered before ``publish``: a base from a copy may be about to
    be overtaken by the store.
    """

    def __init__(self, answers: Answers, file: StrategiesFile) -> None:
        self.catalog = Catalog(file, time())
        self.point: Point | None = None
        self.checksum = 0
        self.checked_at = 0.0
        """The store's clock when the point was last seen to be the head; seconds since the epoch."""
        self.accepted: tuple[str, ...] = ()
        """The ids of stores whose place the followed one was told to take: copies of theirs may be replaced."""
        self._answers = answers
        self._published = asyncio.Event()
        self._lock = asyncio.Lock()
        self._moved = asyncio.Event()

    @property
    def published(self) -> bool:
        return self._published.is_set()

    async def until_published(self) -> None:
        await self._published.wait()

    def publish(self) -> None:
        """Answer polls from now on."""
        if not self.published:
            self._published.set()
            self._answers.serve(self.catalog)

    def replace_file(self, file: StrategiesFile) -> None:
        """Put another strategies file under the records."""
        self.catalog.file = file
        self._serve(None)

    def advance(self, instant: float) -> None:
        """Judge time windows at this instant (seconds since the epoch)."""
        if self.catalog.advance(instant):
            self._serve(None)

    async def take(self, head: Head, changes: Sequence[Change]) -> None:
        """Move forward to ``head``. ``changes`` holds at least every key changed since the served revision.

        Raises:
            ContentMismatch: the result does not come out at the head's checksum; nothing was taken.
        """
        async with self._lock:
            at = self.point
            if at is None or head.point.store_id != at.store_id or head.point.revision <= at.revision:
                return
            checksum = await paced(self._checksum_after(changes))
            if checksum != head.checksum:
                raise ContentMismatch(
                    f"changes to revision {head.point.revision} come out at {checksum:016x}, not {head.checksum:016x}"
                )
            catalog = self.catalog
            if len(changes) > IN_PLACE:
                catalog = await paced(catalog.copy_in_slices())
                await paced(catalog.apply_in_slices(changes))
                # To forget 100,000 names one by one would hold up the polls; all are forgotten in one step.
                self._swap(catalog, head, None)
            else:
                catalog.apply(changes)
                self._swap(catalog, head, changed_names(changes))

    async def replace(
        self,
        head: Head,
        chunks: AsyncIterable[Sequence[Change]],
        *,
        instead_of: Point | None,
        trust: bool = False,
    ) -> bool:
        """Serve a whole configuration instead of what is served now.

        False, and nothing was taken, when that is not ``instead_of`` any more: a commit was served since the head was
        read, and must not be undone.

        Raises:
            ContentMismatch: it does not come out at the head's checksum, and ``trust`` is not given; nothing was taken.
        """
        async with self._lock:
            if self.point != instead_of:
                return False
            catalog = Catalog(self.catalog.file, time())
            checksum = 0
            async for chunk in chunks:
                checksum += await paced(_load_in_slices(catalog, chunk))
            if checksum & MASK != head.checksum and not trust:
                raise ContentMismatch(
                    f"the load of revision {head.point.revision} comes out at {checksum & MASK:016x}, not {head.checksum:016x}"
                )
            self._swap(catalog, head, None)
            return True

    async def reached(self, point: Point, seconds: float) -> bool:
        """Wait until this revision or a later one is served; False when it is not within the time."""
        try:
            async with asyncio.timeout(seconds):
                while self.point is None or self.point.revision < point.revision:
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True

    async def moved(self) -> None:
        """Wait for the next change of the point."""
        await self._moved.wait()

    async def copy(self) -> Copy | None:
        """A consistent picture of everything that is served; None before the first."""
        async with self._lock:
            if self.point is None:
                return None
            changes = await paced(_collect_in_slices(self.catalog))
            return Copy(self.point, self.checksum, self.checked_at, changes)

    async def fork(self) -> tuple[Catalog, Head]:
        """A copy of the catalog that nobody serves, to be changed or walked in slices, and where it stands.

        Raises:
            StoreUnavailable: nothing is loaded yet.
        """
        async with self._lock:
            if self.point is None:
                raise StoreUnavailable("no configuration is loaded yet")
            return await paced(self.catalog.copy_in_slices()), Head(self.point, self.checksum, self.checked_at)

    async def names(self, kind: Kind) -> list[str]:
        """The names of all records of a kind. Copying 100,000 at once takes milliseconds; this takes turns with polls."""
        async with self._lock:
            return await paced(_names_in_slices(self.catalog, kind))

    def _swap(self, catalog: Catalog, head: Head, changed: list[str] | None) -> None:
        catalog.file = self.catalog.file
        if catalog.advance(time()):
            changed = None  # A window opened or closed meanwhile, which no later look would notice.
        self.catalog = catalog
        self.point, self.checksum, self.checked_at = head.point, head.checksum, head.clock
        self._serve(changed)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _serve(self, changed: list[str] | None) -> None:
        if self.published:
            self._answers.serve(self.catalog, changed)

    def _checksum_after(self, changes: Iterable[Change]) -> Generator[None, None, int]:
        checksum = self.checksum
        for change in changes:
            before = self.catalog.records(change.key.kind).get(change.key.name)
            if before is not None:
                checksum -= record_hash(change.key, before.revision)
            if change.record is not None:
                checksum += record_hash(change.key, change.record.revision)
            yield
        return checksum & MASK


def changed_names(changes: Iterable[Change]) -> list[str] | None:
    """The services whose answers may differ after these changes; None where a policy makes it all of them."""
    names = []
    for change in changes:
        if change.key.kind == "policy":
            return None
        names.append(change.key.name)
    return names


def _slices(changes: Iterable[Change]) -> Iterator[list[Change]]:
    rest = iter(changes)
    while some := list(islice(rest, IN_PLACE)):
        yield some


def _load_in_slices(catalog: Catalog, changes: Sequence[Change]) -> Generator[None, None, int]:
    """Apply the changes; their checksum."""
    yield from catalog.apply_in_slices(changes)
    checksum = 0
    for some in _slices(changes):
        checksum += checksum_of(some)
        yield
    return checksum


def _names_in_slices(catalog: Catalog, kind: Kind) -> Generator[None, None, list[str]]:
    names: list[str] = []
    rest = iter(catalog.records(kind))
    while some := list(islice(rest, 1000)):
        names += some
        yield
    return names


def _collect_in_slices(catalog: Catalog) -> Generator[None, None, list[Change]]:
    collected: list[Change] = []
    for kind in KINDS:
        for index, (name, record) in enumerate(catalog.records(kind).items()):
            collected.append(Change(Key(kind, name), record))
            if index % 1000 == 0:
                yield
    return collected

"""Keeps the copies of what is served up to date, and loads one at the start."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress

import structlog

from sampling.records import Change
from server.served import Served
from storage.errors import CopyInvalid, StoreError
from storage.interface import Copies, Copy, Head, Point

HOT_COPY_SECONDS = 5.0
"""Longest wait of a replica before it looks whether another one has written the hot copy already."""

SNAPSHOT_SECONDS = 1.0
"""Longest wait before the snapshot: changes that come together are written together."""

CHECK_SECONDS = 30.0
"""How often a copy is looked at without a change: Redis may have been emptied."""

RETRY_SECONDS = 5.0
"""Between two attempts to write a copy that could not be written."""

_log = structlog.get_logger(__name__)


async def load_base(copies: Mapping[str, Copies], served: Served) -> None:
    """Take the newest copy as what is served until the store answers.

    ``copies`` come in the order of trust: all must be of the store of the first that can be read. A copy that cannot be
    read is told and passed over.
    """
    found: Copy | None = None
    for name, read in zip(copies, await asyncio.gather(*map(_read, copies.items())), strict=True):
        if read is None:
            continue
        if found is not None and read.point.store_id != found.point.store_id:
            _log.warning("a copy of another store is passed over", copy=name, store=read.point.store_id)
        elif found is None or read.checked_at > found.checked_at:
            found = read
    if found is not None:
        head = Head(found.point, found.checksum, found.checked_at)
        await served.replace(head, _one_chunk(found.changes), instead_of=None)
        _log.info("a copy was loaded", at=str(found.point), records=len(found.changes))


async def _read(copy: tuple[str, Copies]) -> Copy | None:
    name, copies = copy
    try:
        return await copies.read()
    except StoreError as error:
        _log.warning("a copy cannot be read", copy=name, reason=str(error))
        return None


async def _one_chunk(changes: Sequence[Change]) -> AsyncIterator[Sequence[Change]]:
    yield changes


class CopyKeeper:
    """Writes one copy whenever it is behind what is served, a random while after each change."""

    def __init__(
        self, name: str, copies: Copies, served: Served, longest_wait: float, is_away: Callable[[], bool] = lambda: False
    ) -> None:
        """``is_away``: whether it is known, and in the log already, that the place of the copy does not answer."""
        self._name, self._copies, self._served, self._longest_wait = name, copies, served, longest_wait
        self._is_away = is_away
        self._turn = asyncio.Lock()
        self.problem: str | None = None
        """Why the copy could not be kept lately; None while it can."""
        self._failures = 0
        self._told = False

    async def run(self) -> None:
        """Keep it until cancelled."""
        kept: Point | None = None
        while True:
            if self._served.point == kept:
                with suppress(TimeoutError):
                    async with asyncio.timeout(CHECK_SECONDS):
                        await self._served.moved()
            await asyncio.sleep(random.uniform(0, self._longest_wait))
            try:
                kept = await self.bring_up_to_date()
                self._succeeded()
            except StoreError as error:
                self._failed(error)
                await asyncio.sleep(RETRY_SECONDS)

    async def bring_up_to_date(self) -> Point | None:
        """Write the copy if it is behind; the point that it holds or need not hold."""
        async with self._turn:
            point = self._served.point
            try:
                header = await self._copies.header()
            except CopyInvalid:
                header = None
            if point is not None and (header is None or header.point != point):
                copy = await self._served.copy()
                if copy is not None:
                    await self._copies.write(copy, accepted=self._served.accepted)
                    return copy.point
            return point

    async def rewrite(self) -> str | None:
        """Write the copy, also where it is at the same point; why it was not written, None where it was."""
        async with self._turn:
            try:
                copy = await self._served.copy()
                if copy is None:
                    return "nothing is served yet"
                if await self._copies.write(copy, accepted=self._served.accepted, again=True):
                    self._succeeded()
                    return None
                header = await self._copies.header()
            except StoreError as error:
                self._failed(error)
                return str(error)
        if header is not None and header.point.store_id != copy.point.store_id:
            return f"there is the copy of another store, {header.point.store_id}; it stays"
        return "another replica has written a newer one meanwhile"

    def _succeeded(self) -> None:
        self.problem, self._failures = None, 0
        if self._told:
            self._told = False
            _log.info("a copy can be kept again", copy=self._name)

    def _failed(self, error: StoreError) -> None:
        self.problem = str(error)
        self._failures += 1
        # Not at once: that the place is away is found out, and told, meanwhile.
        if self._failures > 1 and not self._told and not self._is_away():
            self._told = True
            _log.warning("a copy cannot be kept; nothing else is affected", copy=self._name, reason=self.problem)

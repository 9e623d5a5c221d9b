"""Keeps the copies of what is served up to date, and loads one at the start."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

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

PROBE_SECONDS = 5.0
"""How often Redis is asked for its version, for health."""

_log = structlog.get_logger()


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

    def __init__(self, name: str, copies: Copies, served: Served, longest_wait: float) -> None:
        self._name, self._copies, self._served, self._longest_wait = name, copies, served, longest_wait
        self._turn = asyncio.Lock()
        self.problem: str | None = None
        """Why the copy could not be kept lately; None while it can."""

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
                self._tell(None)
            except StoreError as error:
                self._tell(str(error))
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
                    self._tell(None)
                    return None
                header = await self._copies.header()
            except StoreError as error:
                self._tell(str(error))
                return str(error)
        if header is not None and header.point.store_id != copy.point.store_id:
            return f"there is the copy of another store, {header.point.store_id}; it stays"
        return "another replica has written a newer one meanwhile"

    def _tell(self, problem: str | None) -> None:
        if problem != self.problem:
            self.problem = problem
            if problem is None:
                _log.info("a copy can be kept again", copy=self._name)
            else:
                _log.warning("a copy cannot be kept; nothing else is affected", copy=self._name, reason=problem)


class Versioned(Protocol):
    """What tells its version, or that it does not answer."""

    async def version(self) -> str: ...


class RedisProbe:
    """Whether Redis answers, for health and metrics."""

    def __init__(self, redis: Versioned) -> None:
        self._redis = redis
        self.version: str | None = None
        self.problem: str | None = "Redis has not answered yet"

    @property
    def up(self) -> bool:
        return self.problem is None

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            try:
                self.version = await self._redis.version()
                self._tell(None)
            except StoreError as error:
                self._tell(str(error))
            await asyncio.sleep(PROBE_SECONDS)

    def _tell(self, problem: str | None) -> None:
        if problem != self.problem:
            self.problem = problem
            if problem is None:
                _log.info("Redis answers", version=self.version)
            else:
                _log.warning("Redis does not answer; polls are not affected", reason=problem)

"""A follower on a store, with the answers that it leads to; and short ways to write."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sampling.records import Change, Key, Record, ServiceConfiguration, encode_record
from sampling.strategies_file import NO_FILE
from sampling.strategy import SamplingStrategy
from server.answers import Answers
from server.follower import Follower
from server.served import Served
from storage.interface import Copy, Head, Point, Store, Terms, Write
from tests.server.memory_store import MemoryStore

FAST = 0.01


class Replica:
    """A follower on a store, with the answers it leads to."""

    def __init__(self, store: Store, base: Copy | None, tick: float) -> None:
        self.base = base
        self.answers = Answers()
        self.served = Served(self.answers, NO_FILE)
        self.lost: list[Point] = []
        self.follower = Follower(store, self.served, lost=self._lose, tick=tick)

    async def run(self) -> None:
        if self.base is not None:
            await replace_with(self.served, self.base)
        await self.follower.run()

    async def _lose(self, point: Point) -> None:
        self.lost.append(point)

    def rate(self, name: str) -> float:
        strategy = json.loads(self.answers.json(f"service={name}".encode()))
        rate: float = strategy["probabilisticSampling"]["samplingRate"]
        return rate


@asynccontextmanager
async def following(store: Store, base: Copy | None = None, *, tick: float = FAST) -> AsyncIterator[Replica]:
    replica = Replica(store, base, tick)
    task = asyncio.create_task(replica.run())
    try:
        yield replica
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def service(name: str, rate: float) -> Write:
    return put(Key("service", name), ServiceConfiguration(SamplingStrategy("probabilistic", rate)))


def put(key: Key, record: Record) -> Write:
    return Write(key, encode_record(record))


async def commit(store: Store, *writes: Write) -> Point:
    return (await store.commit(writes, Terms(actor="test", reason=""))).head.point


async def base_of(store: Store) -> Copy:
    """What a copy of the store's head gives a starting replica."""
    head = await store.head()
    async with store.load() as load:
        changes = [change async for chunk in load for change in chunk]
    return Copy(head.point, head.checksum, head.clock, changes)


async def replace_with(served: Served, copy: Copy) -> None:
    async def one_chunk() -> AsyncIterator[Sequence[Change]]:
        yield copy.changes

    await served.replace(Head(copy.point, copy.checksum, copy.checked_at), one_chunk(), instead_of=served.point)


async def another_store(rate: float) -> MemoryStore:
    """A store with other commits under the same numbers, and more of them."""
    other = MemoryStore()
    for number in range(3):
        await commit(other, service("a", rate), service(f"other-{number}", rate))
    return other

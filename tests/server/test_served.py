"""What is served: it moves in one step, and never back behind a commit."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from time import time

import pytest

from sampling.records import Boost, Key, Record, SamplingPolicy
from sampling.strategies_file import NO_FILE
from sampling.strategies_file_reader import read
from sampling.strategy import SamplingStrategy
from server.answers import Answers
from server.served import Served
from storage.interface import Terms
from tests.server.following import base_of, commit, put, replace_with, service
from tests.server.memory_store import MemoryStore
from tests.waiting import until

ALL = SamplingStrategy("probabilistic", 1)


async def test_a_file_that_changes_while_a_large_change_is_prepared_is_kept() -> None:
    store = MemoryStore()
    served = Served(Answers(), NO_FILE)
    await replace_with(served, await base_of(store))
    committed = await store.commit([service(f"s{number}", 0.5) for number in range(3000)], Terms(actor="t", reason=""))
    preparing = asyncio.create_task(served.take(committed.head, committed.changes))
    file = NO_FILE
    while not preparing.done():
        file = read(b'{"default_strategy": {"type": "probabilistic", "param": 0.125}}')
        served.replace_file(file)
        await asyncio.sleep(0)
    assert file is not NO_FILE
    assert served.catalog.file is file
    assert served.catalog.resolve("unknown").strategy.param == 0.125
    assert served.catalog.resolve("s1").strategy.param == 0.5


async def test_a_load_that_was_begun_before_a_commit_does_not_undo_it() -> None:
    store = MemoryStore()
    await commit(store, service("a", 0.25))
    served = Served(Answers(), NO_FILE)
    await replace_with(served, await base_of(store))
    before, head = served.point, await store.head()
    async with store.load() as load:
        committed = await store.commit([service("a", 0.5)], Terms(actor="t", reason=""))
        await served.take(committed.head, committed.changes)
        await served.replace(head, load, instead_of=before)
    assert served.point == committed.head.point
    assert served.catalog.resolve("a").strategy.param == 0.5


async def test_a_copy_shows_one_consistent_point() -> None:
    store = MemoryStore()
    point = await commit(store, service("a", 0.5), service("b", 0.25))
    served = Served(Answers(), NO_FILE)
    await replace_with(served, await base_of(store))
    copy = await served.copy()
    assert copy is not None
    assert copy.point == point
    assert {change.key.name for change in copy.changes} == {"a", "b"}
    again = Served(Answers(), NO_FILE)
    await replace_with(again, copy)
    assert again.point == point


@pytest.mark.parametrize("key", [Key("boost", "a"), Key("policy", "p")])
async def test_a_window_that_ends_right_before_a_write_of_something_else_has_ended_for_polls_too(key: Key) -> None:
    store, answers = MemoryStore(), Answers()
    ends = datetime.now(UTC) + timedelta(seconds=0.2)
    record: Record = Boost(ends, ALL) if key.kind == "boost" else SamplingPolicy("*", sampling_strategy=ALL, ends_at=ends)
    await commit(store, put(key, record))
    served = Served(answers, NO_FILE)
    await replace_with(served, await base_of(store))
    served.publish()
    assert rate(answers) == 1

    await until(lambda: time() >= ends.timestamp())
    committed = await store.commit([service("b", 0.5)], Terms(actor="t", reason=""))
    await served.take(committed.head, committed.changes)
    assert rate(answers) == 0.001


def rate(answers: Answers) -> float:
    answer = json.loads(answers.json(b"service=a"))
    probability: float = answer["probabilisticSampling"]["samplingRate"]
    return probability

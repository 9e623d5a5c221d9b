"""The figures of the store that is followed, as metrics tell them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from server.figures import StoreFigures
from server.telemetry.growth import Growth
from storage.errors import SchemaOutdated, StoreError, StoreUnavailable, StoreUnusable
from storage.figures import Figures, TableSize
from tests.server.following import Replica, following
from tests.server.memory_store import MemoryStore
from tests.waiting import until

FIGURES = Figures(
    database_bytes=1_000,
    tables={"changes": TableSize(10, 20)},
    created={"service": [5, 4, 3, 2, 1, 0], "policy": [1, 0, 0, 0, 0, 0], "boost": [0] * 6},
    revisions=7,
    last_backup=datetime(2026, 11, 24, tzinfo=UTC),
)


class MeasuredStore(MemoryStore):
    """A store in memory that tells what it is told to, or fails to."""

    def __init__(self) -> None:
        super().__init__()
        self.told: Figures | StoreError = FIGURES
        self.asked_for_figures = 0

    async def figures(self) -> Figures:
        self.asked_for_figures += 1
        self._check()
        if isinstance(self.told, StoreError):
            raise self.told
        return self.told


class Watched:
    def __init__(self, store: MeasuredStore, replica: Replica) -> None:
        self.replica = replica
        self.figures = StoreFigures(store, replica.follower, seconds=0.005)
        self.registry = CollectorRegistry()
        self.registry.register(Growth(self.figures))

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"tracing_config_{name}", labels)


@asynccontextmanager
async def watched(store: MeasuredStore) -> AsyncIterator[Watched]:
    async with following(store) as replica:
        it = Watched(store, replica)
        task = asyncio.create_task(it.figures.run())
        try:
            yield it
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def store() -> MeasuredStore:
    return MeasuredStore()


async def test_the_figures_are_metrics(store: MeasuredStore) -> None:
    async with watched(store) as it:
        await until(lambda: it.value("log_revisions") == 7)
        assert it.value("last_backup_timestamp_seconds") == datetime(2026, 11, 24, tzinfo=UTC).timestamp()
        assert it.value("database_bytes") == 1_000
        assert (it.value("table_bytes", table="changes"), it.value("table_total_bytes", table="changes")) == (10, 20)
        assert [it.value("records_created", kind="service", months_ago=str(ago)) for ago in range(6)] == [5, 4, 3, 2, 1, 0]


async def test_a_store_that_was_never_backed_up_says_0_and_one_without_tables_none(store: MeasuredStore) -> None:
    store.told = Figures(database_bytes=1, tables={}, created={}, revisions=1, last_backup=None)
    async with watched(store) as it:
        await until(lambda: it.value("last_backup_timestamp_seconds") == 0)
        assert it.value("table_bytes", table="changes") is None


async def test_nobody_asks_a_store_that_is_not_followed_and_what_it_told_last_stays(store: MeasuredStore) -> None:
    with capture_logs() as lines:
        async with watched(store) as it:
            await until(lambda: it.value("log_revisions") == 7)
            store.fail(StoreUnavailable("gone"))
            await until(lambda: it.replica.follower.problem == "gone")
            asked = store.asked_for_figures
            await asyncio.sleep(0.05)  # Nothing happens, which nothing tells.
            assert store.asked_for_figures == asked
            assert it.value("log_revisions") == 7
            store.fail(None)
            await until(lambda: store.asked_for_figures > asked)
    assert [line for line in lines if "figures" in line["event"]] == []


async def test_one_line_tells_that_they_cannot_be_read_and_one_that_they_can_again(store: MeasuredStore) -> None:
    with capture_logs() as lines:
        async with watched(store) as it:
            await until(lambda: it.value("log_revisions") == 7)
            store.told = StoreUnusable("permission denied for table backups")
            asked = store.asked_for_figures
            await until(lambda: store.asked_for_figures > asked + 3)
            assert it.value("log_revisions") == 7
            store.told = FIGURES
            await until(lambda: len([line for line in lines if "figures" in line["event"]]) == 2)
    assert [(line["event"], line["log_level"]) for line in lines if "figures" in line["event"]] == [
        ("the store does not tell its figures; the last ones stay", "warning"),
        ("the store tells its figures again", "info"),
    ]


async def test_an_older_schema_that_was_put_in_place_is_brought_up_to_date(store: MeasuredStore) -> None:
    store.told = SchemaOutdated("old")
    async with watched(store) as it:
        await until(lambda: store.may_be_filled is True)  # It was opened when nothing was served yet.
        await until(lambda: store.may_be_filled is False)  # And again.
        store.told = FIGURES
        await until(lambda: it.value("log_revisions") == 7)

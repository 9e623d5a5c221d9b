"""The follower on the real stores."""

import asyncio
from pathlib import Path

import pytest

from storage.interface import Store
from storage.postgres import PostgresStore
from storage.sqlite import SqliteStore
from tests.server.following import commit, following, service
from tests.waiting import until


async def test_with_a_tick_of_a_minute_a_commit_elsewhere_is_served_within_a_second_by_its_notification(
    postgres_url: str,
) -> None:
    writer, reader = PostgresStore(postgres_url), PostgresStore(postgres_url)
    await writer.open()
    try:
        async with following(reader, tick=60) as replica:
            await until(lambda: replica.answers.ready)
            for rate in (0.25, 0.5, 0.75):
                point = await commit(writer, service("a", rate))
                async with asyncio.timeout(1):
                    assert await replica.served.reached(point, 1)
                assert replica.rate("a") == rate
    finally:
        await writer.close()
        await reader.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_an_import_by_another_process_is_served_whole(kind: str, tmp_path: Path, postgres_url: str) -> None:
    def store() -> Store:
        if kind == "sqlite":
            return SqliteStore(tmp_path / "store.db")
        return PostgresStore(postgres_url)

    writer, reader = store(), store()
    await writer.open()
    try:
        async with following(reader) as replica:
            await until(lambda: replica.answers.ready)
            await commit(writer, *(service(f"s{number}", 0.5) for number in range(2000)))
            await until(lambda: replica.rate("s0") == 0.5)
            assert replica.rate("s1999") == 0.5
            assert len(replica.served.catalog.records("service")) == 2000
    finally:
        await writer.close()
        await reader.close()

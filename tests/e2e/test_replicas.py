"""Two replicas on one PostgreSQL and Redis: they agree, and they outlive their stores."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis

from storage.copy_format import HEADER_BYTES, read_header
from storage.hot_copy import KEY, HotCopy
from tests.e2e.poll_loop import PollLoop
from tests.e2e.replica import Replica
from tests.services.postgres import PostgresServer
from tests.services.valkey import ValkeyServer
from tests.waiting import eventually


@pytest.fixture
async def database(private_postgres: PostgresServer) -> str:
    return private_postgres.url(await private_postgres.create_database())


@pytest.fixture
def settings(database: str, private_valkey: ValkeyServer) -> dict[str, str]:
    return {"TRACING_CONFIG_DATABASE_URL": database, "TRACING_CONFIG_REDIS_URL": private_valkey.url()}


@pytest.fixture
def pair(tmp_path: Path, settings: dict[str, str]) -> Iterator[tuple[Replica, Replica]]:
    with Replica(tmp_path / "one", **settings) as one, Replica(tmp_path / "two", **settings) as two:
        yield one, two


async def test_a_write_to_either_replica_is_served_by_both(pair: tuple[Replica, Replica]) -> None:
    one, two = pair
    assert one.put_rate("a", 0.5).status_code == 200
    assert one.rate("a") == 0.5
    await eventually(lambda: two.rate("a") == 0.5, 1)
    assert two.put_rate("a", 0.25).status_code == 200
    assert two.rate("a") == 0.25
    await eventually(lambda: one.rate("a") == 0.25, 1)
    assert (
        one.health()["components"]["catalog"]["details"]["point"] == two.health()["components"]["catalog"]["details"]["point"]
    )


async def test_a_change_that_was_answered_200_survives_a_kill(tmp_path: Path, database: str) -> None:
    replica = Replica(tmp_path, TRACING_CONFIG_DATABASE_URL=database)
    for number in range(1, 4):
        with replica:
            assert replica.put_rate("a", number / 8).status_code == 200
            replica.kill()
    with Replica(tmp_path / "fresh", TRACING_CONFIG_DATABASE_URL=database) as fresh:
        assert fresh.rate("a") == 3 / 8


async def test_a_replacement_and_dry_runs_know_what_the_other_replica_has_just_committed(pair: tuple[Replica, Replica]) -> None:
    one, two = pair
    half = {"samplingStrategy": {"type": "probabilistic", "param": 0.5}}
    services = {"services": {f"s{number}": half for number in range(500)}}
    for _ in range(3):
        owner = {"owner": "ci"}
        assert one.api("POST", "/import", json=services, params=owner).json()["written"] == 500
        dry = {**owner, "mode": "replace", "dryRun": "true"}
        assert two.api("POST", "/import", json={"services": {}}, params=dry).json()["recordCount"] == 500
        deleted = two.api("POST", "/import", json={"services": {}}, params={**owner, "mode": "replace"}).json()
        assert deleted["deleted"] == 500
        seen = one.api("PUT", "/services/s1", json=half, params={"dryRun": "true"}).json()
        assert (seen["revision"], seen["records"][0]["before"]) == (deleted["revision"], None)


async def test_a_stale_etag_is_refused_on_the_other_replica_too(pair: tuple[Replica, Replica]) -> None:
    one, two = pair
    old = one.put_rate("a", 0.5).headers["ETag"]
    new = two.put_rate("a", 0.25, headers={"If-Match": old})
    assert new.status_code == 200
    refused = one.put_rate("a", 0.75, headers={"If-Match": old})
    assert refused.status_code == 412
    assert refused.json()["current"] == new.headers["ETag"]
    assert two.rate("a") == 0.25


async def test_health_and_metrics_know_both_stores(pair: tuple[Replica, Replica]) -> None:
    one, _ = pair
    await eventually(lambda: one.metrics()["redis_up"] == 1)
    components = one.health()["components"]
    assert components["db"]["details"]["database"] == "PostgreSQL"
    assert components["redis"]["details"]["version"]


async def test_a_replica_with_redis_only_serves(
    tmp_path: Path, settings: dict[str, str], private_postgres: PostgresServer
) -> None:
    with Replica(tmp_path / "one", **settings) as one:
        one.put_rate("a", 0.5)
        await eventually(lambda: _hot_copy_revision(settings) == 1)
    await asyncio.to_thread(private_postgres.kill)
    with Replica(tmp_path / "empty", **settings) as fresh:
        assert fresh.rate("a") == 0.5
        assert fresh.put_rate("a", 0.25).status_code == 503
        assert fresh.health()["status"] == "DOWN"
        await asyncio.to_thread(private_postgres.start)
        await eventually(lambda: fresh.put_rate("a", 0.25).status_code == 200)
        assert fresh.rate("a") == 0.25


def _hot_copy_revision(settings: dict[str, str]) -> int | None:
    async def header() -> int | None:
        copy = HotCopy(settings["TRACING_CONFIG_REDIS_URL"])
        try:
            found = await copy.header()
            return found.point.revision if found else None
        finally:
            await copy.close()

    return asyncio.run(header())


async def test_a_replica_with_its_snapshot_only_serves(
    tmp_path: Path, settings: dict[str, str], private_postgres: PostgresServer, private_valkey: ValkeyServer
) -> None:
    with Replica(tmp_path / "one", **settings) as one:
        one.put_rate("a", 0.5)
        await eventually(lambda: _snapshot_holds(tmp_path / "one", 1))
    await asyncio.to_thread(private_postgres.kill)
    await asyncio.to_thread(private_valkey.kill)
    with one:
        assert one.rate("a") == 0.5


def _snapshot_holds(folder: Path, revision: int) -> bool:
    for file in folder.glob("snapshot-*.bin"):
        with file.open("rb") as opened:
            return read_header(opened.read(HEADER_BYTES)).point.revision == revision
    return False


async def test_a_restored_older_backup_is_followed(
    tmp_path: Path, settings: dict[str, str], private_postgres: PostgresServer
) -> None:
    with Replica(tmp_path, **settings) as replica:
        replica.put_rate("a", 0.25)
        admin = await asyncpg.connect(private_postgres.url("postgres"))
        try:
            name = settings["TRACING_CONFIG_DATABASE_URL"].rsplit("/", 1)[1].split("?")[0]
            await _alone(admin, name, f'CREATE DATABASE backup TEMPLATE "{name}"')
            await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            await eventually(lambda: replica.put_rate("a", 0.5).status_code == 200)
            assert replica.rate("a") == 0.5
            await eventually(lambda: _snapshot_holds(tmp_path, 2))
            await _alone(admin, name, f'ALTER DATABASE "{name}" RENAME TO gone')
            await admin.execute(f'ALTER DATABASE backup RENAME TO "{name}"')
        finally:
            await admin.close()
        await eventually(lambda: replica.rate("a") == 0.25)
        assert replica.put_rate("b", 0.75).status_code == 200
        assert any(tmp_path.glob("lost-2-*.bin"))
        assert replica.metrics()["tracing_config_histories_lost_total"] == 1


async def test_a_store_with_another_id_is_not_followed_empty_or_not(
    tmp_path: Path, settings: dict[str, str], private_postgres: PostgresServer
) -> None:
    with Replica(tmp_path / "one", **settings) as replica:
        replica.put_rate("a", 0.5)
        admin = await asyncpg.connect(private_postgres.url("postgres"))
        try:
            name = settings["TRACING_CONFIG_DATABASE_URL"].rsplit("/", 1)[1].split("?")[0]
            await _alone(admin, name, f'ALTER DATABASE "{name}" RENAME TO gone')
            await admin.execute(f'CREATE DATABASE "{name}"')
        finally:
            await admin.close()
        await eventually(lambda: replica.health()["status"] == "DOWN")
        assert replica.put_rate("a", 0.25).status_code == 503

        other = Replica(tmp_path / "two", TRACING_CONFIG_DATABASE_URL=settings["TRACING_CONFIG_DATABASE_URL"])
        with other:
            other.put_rate("a", 0.75)
            await eventually(lambda: "otherStoreId" in replica.health()["components"]["catalog"]["details"])
            refused = replica.put_rate("a", 0.25)
            assert refused.status_code == 503
            assert "tracing-config store accept" in refused.json()["detail"]
            assert (replica.rate("a"), other.rate("a")) == (0.5, 0.75)


async def _alone(admin: "asyncpg.Connection[asyncpg.Record]", name: str, statement: str) -> None:
    """Let nobody into a database, throw out who is in, and do what needs that."""
    await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    async with asyncio.timeout(60):
        while True:
            await admin.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name)
            try:
                await admin.execute(statement)
            except asyncpg.ObjectInUseError:  # Somebody was on the way in when the door was closed.
                continue
            return


async def test_no_poll_fails_while_each_store_is_stopped_in_turn(
    tmp_path: Path,
    settings: dict[str, str],
    pair: tuple[Replica, Replica],
    private_postgres: PostgresServer,
    private_valkey: ValkeyServer,
) -> None:
    one, two = pair
    one.put_rate("a", 0.5)
    await eventually(lambda: two.rate("a") == 0.5)
    with PollLoop([one, two], "a", 0.5) as loop:
        for server in (private_postgres, private_valkey):
            for away, back in ((server.stop, server.start), (server.kill, server.start), (server.pause, server.resume)):
                await asyncio.to_thread(away)
                await loop.more_polls(150)
                await asyncio.to_thread(back)
                await loop.more_polls(150)
        await asyncio.to_thread(private_valkey.flush)
        await loop.more_polls(150)
        with redis.Redis.from_url(private_valkey.url()) as client:
            client.set(KEY, b"garbage")
            await loop.more_polls(150)
            client.delete(KEY)
            client.rpush(KEY, b"garbage of another type")
            await loop.more_polls(150)
            with Replica(tmp_path / "fresh", **settings) as fresh:
                assert fresh.rate("a") == 0.5
    assert loop.failures == []
    assert loop.count > 1500
    await eventually(lambda: one.health()["status"] == "UP")

"""What is away, or hangs, or is full, is told within five seconds: by health, its gauge, and one line of the log."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.e2e.replica import PLAIN, Replica
from tests.services.postgres import PostgresServer
from tests.services.valkey import ValkeyServer
from tests.waiting import eventually

TOLD_SECONDS = 5.0


class Watched:
    """A replica, what its health and metrics say, and the lines of its log that are not of requests."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self._seen = 0

    def health(self, path: str = "") -> tuple[int, dict[str, Any]]:
        answer = httpx.get(f"{self.replica.sidecar_url}/actuator/health{path}", timeout=TOLD_SECONDS, **PLAIN)
        return answer.status_code, answer.json()

    async def told(self, message: str, *, seconds: float = TOLD_SECONDS) -> None:
        """Wait for a line; nothing else has been told since the last one."""
        wanted: Callable[[dict[str, Any]], bool] = lambda event: event["message"].startswith(message)  # noqa: E731
        async with asyncio.timeout(seconds):
            await asyncio.to_thread(self.replica.wait_for_event, wanted)
        assert [line["message"][: len(message)] for line in self.lines()] == [message]

    def states(self, component: str, requests: int) -> set[str]:
        """What a component is in each of many answers, one after the other, none of which takes longer than TOLD_SECONDS."""
        with httpx.Client(timeout=TOLD_SECONDS, **PLAIN) as client:
            url = f"{self.replica.sidecar_url}/actuator/health"
            return {client.get(url).json()["components"][component]["status"] for _ in range(requests)}

    def lines(self) -> list[dict[str, Any]]:
        """Those that came since this was last asked."""
        new, self._seen = self.replica.events[self._seen :], len(self.replica.events)
        return [event for event in new if event["message"] != "a request was answered"]

    def status(self, component: str) -> str:
        """Of one component alone, with the code that goes with it."""
        code, found = self.health(f"/{component}")
        assert code == (200 if found["status"] == "UP" else 503)
        status: str = found["status"]
        return status


@pytest.fixture
async def settings(private_postgres: PostgresServer, private_valkey: ValkeyServer) -> dict[str, str]:
    database = private_postgres.url(await private_postgres.create_database())
    return {"TRACING_CONFIG_DATABASE_URL": database, "TRACING_CONFIG_REDIS_URL": private_valkey.url()}


async def test_a_store_that_is_away_or_hangs_is_told_in_time_and_so_is_its_return(
    tmp_path: Path, settings: dict[str, str], private_postgres: PostgresServer, private_valkey: ValkeyServer
) -> None:
    with Replica(tmp_path, **settings) as replica:
        watched = Watched(replica)
        await eventually(lambda: replica.health()["components"]["redis"]["status"] == "UP")
        report = replica.health()
        assert list(report["components"])[:3] == ["db", "redis", "diskSpace"]
        assert report["components"]["db"]["details"] == {"database": "PostgreSQL", "validationQuery": "isValid()"}
        with redis.Redis.from_url(private_valkey.url()) as client:
            assert report["components"]["redis"]["details"] == {"version": client.info("server")["redis_version"]}
        assert watched.health("/db") == (200, report["components"]["db"])
        watched.lines()

        await asyncio.to_thread(private_postgres.stop)
        await watched.told("the store cannot be followed")
        assert watched.health()[0] == 503
        assert (watched.status("db"), replica.metrics()["db_up"]) == ("DOWN", 0)
        assert watched.health("/readiness") == watched.health("/liveness") == (200, {"status": "UP"})

        await asyncio.to_thread(private_valkey.stop)
        await watched.told("Redis does not answer")
        assert (watched.status("redis"), replica.metrics()["redis_up"]) == ("DOWN", 0)

        await asyncio.to_thread(private_postgres.start)
        await watched.told("the store is followed", seconds=20)
        assert (watched.status("db"), replica.metrics()["db_up"]) == ("UP", 1)
        assert watched.health()[0] == 200  # Without Redis.

        await asyncio.to_thread(private_valkey.start)
        await watched.told("Redis answers")
        assert (watched.status("redis"), replica.metrics()["redis_up"]) == ("UP", 1)

        private_postgres.pause()
        private_valkey.pause()
        # Before it is found out, too, health is answered from memory.
        await eventually(lambda: watched.states("db", 50) == {"DOWN"}, TOLD_SECONDS)
        await eventually(lambda: watched.status("redis") == "DOWN", TOLD_SECONDS)
        assert watched.health("/readiness") == watched.health("/liveness") == (200, {"status": "UP"})
        private_postgres.resume()
        private_valkey.resume()
        await eventually(lambda: (watched.status("db"), watched.status("redis")) == ("UP", "UP"))
        assert replica.stop() == 0
        replica.wait_for_event(lambda event: event["message"] == "stopped")
        about = ("the store cannot", "Redis does not", "the store is", "Redis answers", "stopping", "stopped")
        told = [line["message"] for line in watched.lines()]
        assert len(told) == len(about)
        assert all(any(message.startswith(start) for message in told) for start in about)


async def test_a_disk_without_room_is_told_and_polls_go_on(tmp_path: Path) -> None:
    with Replica(tmp_path, TRACING_CONFIG_DISK_THRESHOLD_BYTES=str(2**62)) as replica:
        watched = Watched(replica)
        await eventually(lambda: "total" in replica.health()["components"]["diskSpace"]["details"])
        code, report = watched.health()
        assert (code, report["status"], watched.status("diskSpace")) == (503, "DOWN", "DOWN")
        details = report["components"]["diskSpace"]["details"]
        assert (details["threshold"], details["exists"]) == (2**62, True)
        metrics = replica.metrics()
        assert metrics["tracing_config_disk_up"] == 0
        assert metrics["tracing_config_disk_total_bytes"] == details["total"] > metrics["tracing_config_disk_free_bytes"] > 0
        assert watched.health("/readiness") == watched.health("/liveness") == (200, {"status": "UP"})
        assert replica.rate("a") == 0.001
        assert replica.stop() == 0
        replica.wait_for_event(lambda event: event["message"] == "stopped")
        told = [event for event in replica.events if event["message"].startswith("the disk of the data folder")]
        assert [(line["level"], line["free"] > 0) for line in told] == [("ERROR", True)]

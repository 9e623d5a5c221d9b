"""An address with a password in it that is kept in a file: the file changes, and the replica goes on."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from redis import Redis

from storage.postgres import PostgresStore
from tests.contract.writes import commit, service
from tests.e2e.replica import PLAIN, TOKEN, Replica
from tests.services.postgres import PostgresServer
from tests.services.valkey import ValkeyServer
from tests.waiting import eventually

OLD, NEW = "old-hunter2", "new-hunter2"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL that asks the user app for a password."""
    with PostgresServer() as server:
        asyncio.run(execute(server.url(), "CREATE ROLE app LOGIN SUPERUSER"))
        server.admit("host all app 127.0.0.1/32 scram-sha-256", "host all all 127.0.0.1/32 trust")
        yield server


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url, timeout=10, command_timeout=30)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


class Place:
    """A database of the user app, and the file of its address."""

    def __init__(self, server: PostgresServer, name: str, file: Path) -> None:
        self.server, self.name, self.file = server, name, file

    def url(self, password: str, database: str | None = None) -> str:
        return self.server.url(database or self.name).replace("postgres@", f"app:{password}@")

    def write(self, password: str, database: str | None = None) -> None:
        """As Kubernetes does: another file takes its place."""
        fresh = self.file.with_suffix(".fresh")
        fresh.write_text(self.url(password, database) + "\n")
        fresh.rename(self.file)

    async def give_password(self, password: str) -> None:
        await execute(self.server.url(), f"ALTER ROLE app PASSWORD '{password}'")

    async def end_sessions(self) -> None:
        await execute(self.server.url(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")


@pytest.fixture
async def place(server: PostgresServer, tmp_path: Path) -> Place:
    place = Place(server, await server.create_database(), tmp_path / "database-url")
    await place.give_password(OLD)
    place.write(OLD)
    return place


@pytest.fixture
def replica(place: Place, tmp_path: Path) -> Iterator[Replica]:
    with Replica(tmp_path / "data", TRACING_CONFIG_DATABASE_URL_FILE=str(place.file)) as replica:
        yield replica


def component(replica: Replica, name: str) -> dict[str, Any]:
    found: dict[str, Any] = replica.health()["components"][name]
    return found


def address_problem(replica: Replica, name: str = "db") -> str:
    return str(component(replica, name)["details"].get("addressProblem", ""))


def told(replica: Replica, message: str) -> list[dict[str, Any]]:
    """The log lines of this kind, when the replica is stopped; none of any kind holds a password."""
    replica.stop()
    replica.wait_for_event(lambda event: event["message"] == "stopped")
    assert "hunter2" not in str(replica.events)
    return [event for event in replica.events if event.get("message") == message]


async def test_after_the_password_was_changed_writes_and_following_go_on(place: Place, replica: Replica) -> None:
    await place.give_password(NEW)
    place.write(NEW)
    assert (await asyncio.to_thread(replica.wait_for_event, lambda event: "a new address" in event["message"]))["setting"]
    await place.end_sessions()
    await eventually(lambda: replica.put_rate("checkout", 0.5).status_code == 200, 5)
    another = PostgresStore(place.url(NEW))
    await another.open()
    await commit(another, service("followed"))
    await another.close()
    await eventually(lambda: replica.api("GET", "/services/followed").status_code == 200, 2)
    assert len(told(replica, "a new address is in use")) == 1


async def test_a_password_that_comes_before_the_server_knows_it_is_used_as_soon_as_it_does(
    place: Place, replica: Replica
) -> None:
    place.write(NEW)
    await eventually(lambda: "password authentication failed" in address_problem(replica))
    problem = address_problem(replica)
    assert problem.startswith("TRACING_CONFIG_DATABASE_URL_FILE: ")
    assert "check the user" in problem
    assert component(replica, "db")["status"] == "UP"
    assert replica.put_rate("checkout", 0.5).status_code == 200
    await place.give_password(NEW)
    await eventually(lambda: address_problem(replica) == "", 8)
    await place.end_sessions()
    await eventually(lambda: replica.put_rate("checkout", 0.25).status_code == 200, 5)
    assert len(told(replica, "a new address does not work; the last one stays in use")) == 1


async def test_content_that_is_no_address_changes_nothing_and_is_told_once(place: Place, replica: Replica) -> None:
    for content, said in (
        ("", "is empty"),
        (f"mysql://app:{NEW}@localhost/x", "must start with postgresql://"),
        (f"postgresql://app:{NEW}@localhost:99999/x", "must look like postgresql://"),
        (place.url(OLD) + "?sslmode=verify-full&sslrootcert=/none.pem", "sslrootcert: cannot read /none.pem"),
    ):
        place.file.write_text(content)
        await eventually(lambda said=said: said in address_problem(replica))  # type: ignore[misc]
        await place.end_sessions()
        await eventually(lambda: replica.put_rate("checkout", 0.5).status_code == 200, 5)
    place.file.unlink()
    await eventually(lambda: f"cannot read {place.file}" in address_problem(replica))
    place.write(OLD)
    await eventually(lambda: address_problem(replica) == "")
    unread = told(replica, "a file cannot be used; its last good content stays")
    unused = [event for event in replica.events if event.get("message", "").startswith("a new address does not work")]
    assert (len(unread), len(unused)) == (3, 2)


def address_in_use(replica: Replica) -> str:
    url = f"{replica.sidecar_url}/actuator/configprops"
    shown = httpx.get(url, headers={"Authorization": f"Bearer {TOKEN}"}, **PLAIN).json()
    value: str = shown["properties"]["TRACING_CONFIG_DATABASE_URL"]["value"]
    return value


async def test_an_address_of_another_database_is_not_followed_unasked(
    place: Place, replica: Replica, server: PostgresServer
) -> None:
    assert replica.put_rate("checkout", 0.5).status_code == 200
    other = await server.create_database()
    store = PostgresStore(server.url(other))
    await store.open()
    await commit(store, service("of-the-other"))
    head = await store.head()
    place.write(OLD, other)
    await eventually(lambda: component(replica, "catalog")["details"].get("otherStoreId") == head.point.store_id)
    assert "tracing-config store accept" in component(replica, "db")["details"]["problem"]
    assert address_in_use(replica).endswith(f"/{other}")
    assert replica.put_rate("checkout", 0.25).status_code == 503
    assert replica.poll_http("checkout")["probabilisticSampling"]["samplingRate"] == 0.5
    assert (await store.head()).point == head.point
    await store.close()
    place.write(OLD)
    await eventually(lambda: replica.put_rate("checkout", 0.25).status_code == 200)


async def test_the_password_of_redis_is_taken_from_its_file(private_valkey: ValkeyServer, tmp_path: Path) -> None:
    port, file = private_valkey.port, tmp_path / "redis-url"
    file.write_text(f"redis://:{OLD}@127.0.0.1:{port}/0")
    with Redis(port=port) as admin:
        admin.config_set("requirepass", OLD)
        with Replica(tmp_path / "data", TRACING_CONFIG_REDIS_URL_FILE=str(file)) as replica:
            await eventually(lambda: component(replica, "redis")["status"] == "UP")
            file.write_text(f"redis://:{OLD}@127.0.0.1:port/0")
            await eventually(lambda: "must look like redis://" in address_problem(replica, "redis"))
            assert component(replica, "redis")["status"] == "UP"
            admin.config_set("requirepass", NEW)
            admin.client_kill_filter(_type="normal", skipme=True)
            await eventually(lambda: component(replica, "redis")["status"] == "DOWN")
            file.write_text(f"redis://:{NEW}@127.0.0.1:{port}/0")
            await eventually(lambda: component(replica, "redis")["status"] == "UP")
            assert address_problem(replica, "redis") == ""
            assert replica.put_rate("checkout", 0.5).status_code == 200
            assert len(told(replica, "a new address is in use")) == 1

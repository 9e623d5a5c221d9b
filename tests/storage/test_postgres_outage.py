"""PostgreSQL stopped, frozen, restarted or in recovery under an open store."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Iterator

import pytest

import storage.postgres.reader
from storage.errors import StoreUnavailable, StoreUnusable
from storage.history import Wanted
from storage.postgres import PostgresStore
from storage.postgres.condition import look
from tests.contract.databases import PostgresDatabase
from tests.contract.writes import bodies, commit, everything, service
from tests.services.postgres import PostgresServer


class StandbyServer(PostgresServer):
    """May be started as a standby, which is ready when it takes readers."""

    def is_ready(self) -> bool:
        if super().is_ready():
            return True
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "standby" and int(lines[0]) == self.process

    def start_as_standby(self) -> None:
        signal_file = self.data / "standby.signal"
        signal_file.touch()
        shutil.chown(signal_file, self.account.user, self.account.group)
        self.start()


@pytest.fixture(scope="module")
def module_server() -> Iterator[StandbyServer]:
    with StandbyServer() as server:
        yield server


@pytest.fixture
def server(module_server: StandbyServer) -> Iterator[StandbyServer]:
    """A running PostgreSQL that may be stopped and frozen."""
    yield module_server
    if module_server.process is None:
        module_server.start()
    module_server.resume()


@pytest.fixture
async def url(server: StandbyServer) -> str:
    """An empty database on it."""
    return server.url(await server.create_database())


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    """An open store with one commit."""
    store = PostgresStore(url)
    await store.open()
    await commit(store, service("before"))
    yield store
    await store.close()


async def seconds_until_unavailable(call: Awaitable[object]) -> float:
    start = time.perf_counter()
    with pytest.raises(StoreUnavailable):
        await call
    return time.perf_counter() - start


async def times_until_unavailable(store: PostgresStore) -> list[float]:
    """How long a write of one record, a head, changes, a load, an acceptance and a question to the log take to say so, all
    asked for at once."""
    calls = (
        *(commit(store, service("lost")), store.head(), store.changes_since(0), everything(store)),
        *(store.accept("0" * 32), store.differences(0, None)),
    )
    return await asyncio.gather(*(seconds_until_unavailable(call) for call in calls))


async def forget_news(store: PostgresStore) -> None:
    """What was heard so far, such as lost connections, wakes nobody any more."""
    await store.wait_for_news(0.05)


async def test_a_stopped_server_is_told_of_at_once_and_its_return_needs_nobody(
    server: StandbyServer, store: PostgresStore
) -> None:
    await store.wait_for_news(60)  # Of the commit.
    waiting = asyncio.create_task(store.wait_for_news(60))
    await asyncio.to_thread(server.stop)
    await asyncio.wait_for(waiting, 1)
    assert max(await times_until_unavailable(store)) < 1
    await asyncio.to_thread(server.start)
    assert (await store.head()).point.revision == 1
    await forget_news(store)
    waiting = asyncio.create_task(store.wait_for_news(60))
    await commit(store, service("after"))
    await asyncio.wait_for(waiting, 1)


async def test_a_frozen_server_is_told_of_in_time_and_its_return_needs_nobody(
    server: StandbyServer, store: PostgresStore
) -> None:
    server.pause()
    write, head, changes, load, accepting, asking = await times_until_unavailable(store)
    assert max(write, accepting) < 2.2
    assert head < 2.2
    assert max(changes, load, asking) < 4.5
    server.resume()
    assert (await store.head()).point.revision == 1
    assert len(await bodies(store)) == 2
    await commit(store, service("after"))


async def test_a_server_that_freezes_during_a_load_is_told_of(
    server: StandbyServer, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage.postgres.reader, "ROWS_SECONDS", 0.5)
    await commit(store, *(service(f"s{number}") for number in range(3_000)))

    async def load_and_freeze() -> None:
        async with store.load() as load:
            async for _ in load:
                server.pause()

    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(load_and_freeze(), 3)
    server.resume()
    assert len(await bodies(store)) == 3_002


async def test_a_commit_that_was_acknowledged_survives_a_crash_of_the_server(
    server: StandbyServer, store: PostgresStore
) -> None:
    committed = await commit(store, service("kept"))
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    assert (await store.head()).point == committed.head.point


async def test_a_store_whose_server_is_away_may_be_opened_later(server: StandbyServer, url: str) -> None:
    await asyncio.to_thread(server.stop)
    store = PostgresStore(url)
    assert await seconds_until_unavailable(store.open()) < 1
    await asyncio.to_thread(server.start)
    server.pause()
    assert await seconds_until_unavailable(store.open()) < 2.5
    server.resume()
    await store.open()
    await commit(store, service("a"))
    await store.close()


async def test_a_standby_is_read_from_until_it_is_promoted(
    server: StandbyServer, store: PostgresStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage.postgres.reader, "STANDBY_SECONDS", 0.0)
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start_as_standby)
    started_later = PostgresStore(url)
    await started_later.open()
    assert "in recovery" in ((await look(url)).read_only or "")
    for reader in (store, started_later):
        head = await reader.head(1)
        assert (head.in_recovery, head.point.revision, head.commit_at_served) == (True, 1, head.point.commit_id)
        assert len(await bodies(reader)) == 2
        for refused in (commit(reader, service("a")), reader.accept("0" * 32)):
            with pytest.raises(StoreUnavailable, match="read-only standby"):
                await refused
        assert [change.revision.revision for change in await reader.logged(Wanted(), 10)] == [1, 0]
        assert len((await reader.differences(0, None)).records) == 1
    await PostgresDatabase(url).ask("SELECT pg_promote()")
    assert not (await store.head()).in_recovery
    await forget_news(store)
    waiting = asyncio.create_task(store.wait_for_news(60))
    await commit(started_later, service("a"))
    await asyncio.wait_for(waiting, 1)
    await started_later.close()


async def test_a_password_is_used_and_never_told(server: StandbyServer, url: str) -> None:
    admin = PostgresDatabase(server.url())
    await admin.ask("CREATE ROLE careful SUPERUSER LOGIN PASSWORD 'right/one'")
    access = server.data / "pg_hba.conf"
    rules = access.read_text()
    access.write_text(f"host all careful 127.0.0.1/32 scram-sha-256\n{rules}")
    await admin.ask("SELECT pg_reload_conf()")
    store = PostgresStore(url.replace("postgres@", "careful:right%2Fone@"))
    await store.open()
    await commit(store, service("a"))
    await store.close()
    store = PostgresStore(url.replace("postgres@", "careful:wrong-one@"))
    with pytest.raises(StoreUnusable, match="check the user and the password") as caught:
        await store.open()
    await store.close()
    assert "wrong-one" not in str(caught.value) + store.address

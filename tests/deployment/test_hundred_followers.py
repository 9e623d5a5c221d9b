"""A hundred followers on one PostgreSQL: what it sees of them while nothing happens, while clients poll, and at a commit.

Ninety-nine are real followers on real stores in this process, one is a server process. `-s` shows the figures.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import quantiles

import asyncpg
import httpx
import pytest

from server.follower import TICK_SECONDS
from storage.postgres import PostgresStore
from tests.e2e.replica import PLAIN
from tests.e2e.replica import Replica as Process
from tests.server.following import Replica, following
from tests.services.postgres import PostgresServer
from tests.waiting import until

FOLLOWERS = 100
IDLE_SECONDS = 60
POLLED_SECONDS = 20
POLLS_PER_SECOND = 200
COMMITS = 20


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """It counts statements, and has room for the two sessions that each follower keeps, and more while it starts."""
    server = PostgresServer()
    server.settings |= {"max_connections": "400", "shared_preload_libraries": "pg_stat_statements"}
    with server:
        yield server


class Statements:
    """What was asked of one database since the last look, and how long the server worked on everything."""

    def __init__(self, server: PostgresServer, connection: "asyncpg.Connection[asyncpg.Record]", database: str) -> None:
        self._server, self._connection, self._database = server, connection, database
        self.calls: dict[str, int] = {}
        self.sessions = 0
        self.processor_seconds = 0.0

    async def during(self, seconds: float) -> float:
        """Statements per follower and second from now on."""
        await self._connection.execute("SELECT pg_stat_statements_reset()")
        worked, start = self._worked(), time.monotonic()
        await asyncio.sleep(seconds)
        rows = await self._connection.fetch(
            "SELECT query, calls FROM pg_stat_statements JOIN pg_database ON oid = dbid WHERE datname = $1", self._database
        )
        elapsed = time.monotonic() - start
        self.calls = {row["query"]: row["calls"] for row in rows}
        self.processor_seconds = (self._worked() - worked) / elapsed
        self.sessions = await self._connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = $1", self._database
        )
        return sum(self.calls.values()) / FOLLOWERS / elapsed

    def _worked(self) -> float:
        """Processor time of all its processes; sessions that ended do not count, but here none does."""
        assert self._server.process is not None
        ticks = 0
        for process in (self._server.process, *self._server.children()):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@pytest.fixture
async def database(server: PostgresServer) -> str:
    return await server.create_database()


@pytest.fixture
async def statements(server: PostgresServer, database: str) -> AsyncIterator[Statements]:
    connection = await asyncpg.connect(server.url())
    await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    yield Statements(server, connection, database)
    await connection.close()


async def poll(process: Process) -> int:
    """So many polls as POLLED_SECONDS have room for, by ten clients, in turn; how many were answered."""
    clients, start = 10, time.monotonic()

    async def client(first: int) -> int:
        answered = 0
        async with httpx.AsyncClient(base_url=process.http_url, timeout=5, **PLAIN) as http:
            for number in range(first, POLLED_SECONDS * POLLS_PER_SECOND, clients):
                await asyncio.sleep(start + number / POLLS_PER_SECOND - time.monotonic())
                response = await http.get("/sampling", params={"service": f"service-{number}"})
                answered += response.status_code == 200
        return answered

    return sum(await asyncio.gather(*map(client, range(clients))))


async def test_what_a_hundred_followers_cost_the_database(
    server: PostgresServer, database: str, statements: Statements, tmp_path: Path
) -> None:
    url = server.url(database)
    process = Process(tmp_path, TRACING_CONFIG_DATABASE_URL=url)
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(process.start)
        stack.callback(process.kill)
        followers: list[Replica] = []
        for _ in range(FOLLOWERS - 1):
            store = PostgresStore(url)
            stack.push_async_callback(store.close)
            followers.append(await stack.enter_async_context(following(store, tick=TICK_SECONDS)))
        await until(lambda: all(follower.answers.ready for follower in followers), 60)

        idle = await statements.during(IDLE_SECONDS)
        print(f"\nidle: {idle:.2f} statements per follower and second; {statements.sessions} sessions; ", end="")
        print(f"PostgreSQL used {statements.processor_seconds:.3f} of a processor")
        for query, calls in sorted(statements.calls.items(), key=lambda item: -item[1])[:5]:
            print(f"  {calls:6} {' '.join(query.split())[:100]}")
        assert 1.5 < idle <= 2.5
        assert statements.sessions == 2 * FOLLOWERS

        polling = asyncio.create_task(poll(process))
        polled = await statements.during(POLLED_SECONDS)
        answered = await polling
        print(f"{POLLS_PER_SECOND} polls/s: {polled:.2f} statements per follower and second; {answered} polls answered")
        assert answered == POLLED_SECONDS * POLLS_PER_SECOND
        assert polled <= 2.5
        # A statement for each poll would be 2 more for each of the followers.
        assert abs(polled - idle) < 0.25

        took = []
        for number in range(1, COMMITS + 1):
            rate = number / 64
            response = await asyncio.to_thread(process.put_rate, "checkout", rate)
            start = time.monotonic()
            assert response.status_code == 200
            await until(lambda rate=rate: all(follower.rate("checkout") == rate for follower in followers), 5)  # type: ignore[misc]
            took.append(time.monotonic() - start)
        print(
            f"a commit is served by all after {quantiles(took)[1] * 1000:.0f} ms (median), {max(took) * 1000:.0f} ms (slowest)"
        )
        assert max(took) < 1

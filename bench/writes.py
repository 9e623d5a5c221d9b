"""How long a write takes, and how soon another replica serves it."""

import asyncio
import sys
import time
from pathlib import Path

import grpc
import httpx

from bench.answer import Answer
from bench.fleet import Fleet
from bench.processes import replica_on_port
from bench.table import Table
from bench.timings import Timings
from storage.interface import Terms
from storage.postgres import PostgresStore
from tests.e2e.replica import TOKEN, Replica
from tests.services.postgres import PostgresServer

WRITES = 200

IMPORTED = Fleet(100_000)


class DurablePostgres(PostgresServer):
    """As the tests start it, but it waits for the disk, as in production."""

    in_memory = False

    def command(self) -> list[str]:
        return [*super().command(), "--fsync=on", "--full_page_writes=on"]


def writes(folder: Path) -> Table:
    """Write through the API of a server on either store; on PostgreSQL a second replica is watched."""
    table = Table(f"Writes: {WRITES} one after another, and an import of {IMPORTED.services} records", "", "p50", "p99")
    _say("PUTs on SQLite")
    replica, port = replica_on_port(folder / "writes")
    with replica:
        put, _ = _put(replica, port)
    table.add("PUT on SQLite", *put.milliseconds())

    with DurablePostgres() as postgres:
        url = postgres.url(asyncio.run(postgres.create_database()))
        first, _ = replica_on_port(folder / "first", TRACING_CONFIG_DATABASE_URL=url)
        second, second_port = replica_on_port(folder / "second", TRACING_CONFIG_DATABASE_URL=url)
        with first, second:
            _say("PUTs on PostgreSQL, with a second replica")
            put, served = _put(first, second_port)
            table.add("PUT on PostgreSQL", *put.milliseconds())
            table.add("from its answer until the second replica serves it", *served.milliseconds())
            _say("an import on PostgreSQL")
            commit_seconds, served_seconds = asyncio.run(_import(url, second_port))
            table.add("import on PostgreSQL", f"{commit_seconds:.2f} s", "")
            table.add("from its commit until a replica serves it", f"{served_seconds:.2f} s", "")
    return table


def _put(replica: Replica, served_at: int) -> tuple[Timings, Timings]:
    """Write, each time waiting until the server at this port serves it; the times of the writes and of the waits."""
    put, served = Timings(), Timings()
    address, headers = f"{replica.sidecar_url}/api/v1/config", {"Authorization": f"Bearer {TOKEN}"}
    with (
        httpx.Client(base_url=address, headers=headers, timeout=10) as client,
        grpc.insecure_channel(f"127.0.0.1:{served_at}") as channel,
    ):
        for index in range(WRITES):
            answer = Answer(f"written-{index:03}", IMPORTED.rate(index))
            body = {"samplingStrategy": {"type": "probabilistic", "param": IMPORTED.rate(index)}}
            with put.one():
                response = client.put(f"/services/{answer.service}", json=body)
            response.raise_for_status()
            with served.one():
                answer.wait_grpc(channel)
    return put, served


async def _import(url: str, served_at: int) -> tuple[float, float]:
    """Commit the fleet as one revision; how long that took, and how long until it was served after that."""
    store = PostgresStore(url, pool_min=1, pool_max=2)
    await store.open()
    try:
        records = IMPORTED.writes()
        begin = time.perf_counter()
        await store.commit(records, Terms(actor="bench", reason="very many services"))
        committed = time.perf_counter()
    finally:
        await store.close()
    with grpc.insecure_channel(f"127.0.0.1:{served_at}") as channel:
        IMPORTED.answer(IMPORTED.services - 1).wait_grpc(channel)
    return committed - begin, time.perf_counter() - committed


def _say(what: str) -> None:
    print(f"writes: {what}", file=sys.stderr, flush=True)

"""How soon a server with very many services answers, and what it weighs."""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import grpc
import httpx

from bench.answer import Answer
from bench.fleet import Fleet
from bench.processes import processor_seconds, replica_on_port, resident_megabytes, seconds_to_first_answer
from bench.table import Table
from storage.interface import Terms
from storage.sqlite import SqliteStore

MANY = Fleet(100_000)

WITH_OPERATIONS = Fleet(10_000, operations=30)

DEFAULT_OPERATIONS = ("GET /health", "GET /metrics")

POLLED = 1_000
"""So many different services are polled, over both protocols, before the memory is read."""

SETTLED_SECONDS = 10.0
"""How long after the last answer the memory is read."""

DATABASE = "tracing-config.db"
"""The file in the data folder that a server without settings uses."""


def sizes(folder: Path) -> Table:
    """Start servers with very many services from a file and from SQLite.

    ``VmRSS`` is that of the first start, which reads the store; with SQLite the restart begins with the snapshot.
    """
    table = Table("Very many services", "", "first answer", "its CPU time", "after a restart", "VmRSS")
    for fleet in (MANY, WITH_OPERATIONS):
        title = _title("a strategies file", fleet)
        _say(title)
        strategies = folder / "strategies.json"
        strategies.write_bytes(fleet.strategies_file(DEFAULT_OPERATIONS))
        table.add(title, *_measure(folder / f"file-{fleet.services}", fleet, DEFAULT_OPERATIONS, strategies))
    title = _title("SQLite", MANY)
    _say(f"{title}: the records are committed first")
    data = folder / "sqlite"
    seconds = asyncio.run(_commit(data, MANY))
    table.add(title, *_measure(data, MANY, (), None))
    table.add("their one commit before", f"{seconds:.2f} s", "", "", "")
    return table


def _measure(data: Path, fleet: Fleet, default_operations: Sequence[str], strategies: Path | None) -> list[str]:
    settings = {} if strategies is None else {"TRACING_CONFIG_STRATEGIES_FILE": str(strategies)}
    replica, port = replica_on_port(data, **settings)
    answers = [fleet.answer(index, default_operations) for index in range(0, fleet.services, fleet.services // POLLED)]
    try:
        first = seconds_to_first_answer(replica, port, answers[-1])
        used = processor_seconds(replica.pid)
        _poll_all(port, answers)
        time.sleep(SETTLED_SECONDS)
        resident = resident_megabytes(replica.pid)
        replica.stop()
        again = seconds_to_first_answer(replica, port, answers[-1])
    finally:
        replica.kill()
    return [f"{first:.2f} s", f"{used:.2f} s", f"{again:.2f} s", f"{resident:.0f} MB"]


def _poll_all(port: int, answers: Sequence[Answer]) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for answer in answers:
            answer.check_grpc(channel)
            answer.check_http(client)


async def _commit(data: Path, fleet: Fleet) -> float:
    store = SqliteStore(data / DATABASE)
    await store.open()
    try:
        writes = fleet.writes()
        begin = time.perf_counter()
        await store.commit(writes, Terms(actor="bench", reason="very many services"))
        return time.perf_counter() - begin
    finally:
        await store.close()


def _title(source: str, fleet: Fleet) -> str:
    return f"{fleet.services} services in {source}" + (f", {fleet.operations} operations each" if fleet.operations else "")


def _say(what: str) -> None:
    print(f"sizes: {what}", file=sys.stderr, flush=True)

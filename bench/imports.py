"""How long an import over HTTP takes, and how long polls take meanwhile."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec

from bench.answer import WrongAnswer
from bench.fleet import Fleet
from bench.processes import replica_on_port
from bench.table import Table
from bench.timings import Timings
from bench.writes import DurablePostgres
from tests.e2e.replica import ROOT, TOKEN, Replica

IMPORTED = Fleet(100_000)

POLLS_PER_SECOND = 1000
POLLED = 1000
"""So many names are polled in turn."""

QUIET_SECONDS = 2.0
"""How long polls are measured without an import, to compare with."""


def imports(folder: Path) -> Table:
    """Import the fleet in our own format into a server on either store: all is new, every record changes, that is undone."""
    title = f"Imports of {IMPORTED.services} services over HTTP, and HTTP polls at {POLLS_PER_SECOND}/s meanwhile"
    table = Table(title, "", "import", "polls p50", "p99", "longest")
    _say("SQLite")
    replica, _ = replica_on_port(folder / "imports")
    with replica:
        _measure(table, "SQLite", replica)
    with DurablePostgres() as postgres:
        _say("PostgreSQL")
        url = postgres.url(asyncio.run(postgres.create_database()))
        replica, _ = replica_on_port(folder / "imports-postgres", TRACING_CONFIG_DATABASE_URL=url)
        with replica:
            _measure(table, "PostgreSQL", replica)
    return table


def _measure(table: Table, store: str, replica: Replica) -> None:
    quiet = _meanwhile(replica, lambda: time.sleep(QUIET_SECONDS))
    table.add(f"{store}, no import", "", *_milliseconds(quiet))
    for what, work in (
        ("all new", partial(_import, replica, _document(0))),
        ("all changed", partial(_import, replica, _document(1))),
        ("the change rolled back", partial(_roll_back, replica)),
    ):
        took = Timings()
        polls = _meanwhile(replica, partial(work, took))
        table.add(f"{store}, {what}", f"{took.seconds[0]:.2f} s", *_milliseconds(polls))


def _document(shift: int) -> bytes:
    services = {
        IMPORTED.name(index): {"samplingStrategy": {"type": "probabilistic", "param": IMPORTED.rate(index + shift)}}
        for index in range(IMPORTED.services)
    }
    return msgspec.json.encode({"format": "tracing-config/1", "services": services})


def _import(replica: Replica, document: bytes, took: Timings) -> None:
    with took.one():
        response = _post(replica, "import", content=document)
    if response.status_code != 200 or response.json()["written"] != IMPORTED.services:
        raise WrongAnswer(f"the import: {response.status_code} {response.text[:1000]}")


def _roll_back(replica: Replica, took: Timings) -> None:
    """To the first import, which was the first revision."""
    with took.one():
        response = _post(replica, "rollback", json={"revision": 1})
    if response.status_code != 200 or response.json()["changed"] != IMPORTED.services:
        raise WrongAnswer(f"the rollback: {response.status_code} {response.text[:1000]}")


def _post(replica: Replica, path: str, **arguments: Any) -> httpx.Response:
    url, headers = f"{replica.sidecar_url}/api/v1/config/{path}", {"Authorization": f"Bearer {TOKEN}"}
    return httpx.post(url, headers=headers, timeout=60, **arguments)


def _meanwhile(replica: Replica, work: Callable[[], object]) -> Timings:
    """The times of polls from before some work until it is done."""
    port = replica.http_url.rpartition(":")[2]
    names = [IMPORTED.name(index * 97) for index in range(POLLED)]
    command = [sys.executable, "-m", "bench.steady_polls", port, str(POLLS_PER_SECOND), *names]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        work()
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    if process.returncode != 0:
        raise WrongAnswer("a poll was not answered as it should be")
    timings = Timings()
    timings.seconds = json.loads(output)
    return timings


def _milliseconds(polls: Timings) -> list[str]:
    return [*polls.milliseconds(), f"{max(polls.seconds) * 1e3:.2f} ms"]


def _say(what: str) -> None:
    print(f"imports: {what}", file=sys.stderr, flush=True)

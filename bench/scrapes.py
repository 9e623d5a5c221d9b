"""How long polls take while somebody looks at the server from outside."""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import msgspec

from bench.answer import WrongAnswer
from bench.fleet import Fleet
from bench.processes import replica_on_port
from bench.table import Table
from bench.timings import Timings
from bench.writes import DurablePostgres
from tests.e2e.replica import ROOT, TOKEN, Replica
from tests.services.valkey import ValkeyServer

SERVED = Fleet(5_000)

POLLS_PER_SECOND = 1000
POLLED = 1000

ROUND_SECONDS = 3.0
"""For each load in each round."""

NOTHING = "nothing"

LOADS = {
    NOTHING: "nothing",
    "each_second": "a scrape and a health call each second",
    "hundred": "100 scrapes at once each second",
    "slow": "a scrape that is read byte by byte",
}
"""By the names of ``bench.scrape_load``."""


def scrapes(folder: Path, rounds: int) -> Table:
    """Poll a server on PostgreSQL and Redis at a steady rate, under one load after the other in each round."""
    measured: dict[str, list[Timings]] = {load: [] for load in LOADS}
    with DurablePostgres() as postgres, ValkeyServer() as valkey:
        settings = {
            "TRACING_CONFIG_DATABASE_URL": postgres.url(asyncio.run(postgres.create_database())),
            "TRACING_CONFIG_REDIS_URL": valkey.url(),
        }
        replica, _ = replica_on_port(folder, **settings)
        with replica:
            _fill(replica)
            for number in range(rounds + 1):
                print(f"scrapes: round {number} of {rounds}" if number else "scrapes: warming up", file=sys.stderr, flush=True)
                for index in range(len(LOADS)):
                    # Each round begins with another load.
                    load = list(LOADS)[(index + number) % len(LOADS)]
                    timings = _polls_under(replica, load)
                    if number:
                        measured[load].append(timings)
    return _table(measured)


def _fill(replica: Replica) -> None:
    services = {
        SERVED.name(index): {"samplingStrategy": {"type": "probabilistic", "param": SERVED.rate(index)}}
        for index in range(SERVED.services)
    }
    url, headers = f"{replica.sidecar_url}/api/v1/config/import", {"Authorization": f"Bearer {TOKEN}"}
    content = msgspec.json.encode({"format": "tracing-config/1", "services": services})
    httpx.post(url, headers=headers, content=content, timeout=60).raise_for_status()


def _polls_under(replica: Replica, load: str) -> Timings:
    port, sidecar = (url.rpartition(":")[2] for url in (replica.http_url, replica.sidecar_url))
    names = [SERVED.name(index * 97 % SERVED.services) for index in range(POLLED)]
    commands = (["bench.scrape_load", load, sidecar], ["bench.steady_polls", port, str(POLLS_PER_SECOND), *names])
    processes = [
        subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for command in commands
    ]
    try:
        time.sleep(ROUND_SECONDS)
        # The polls end first, so that the load lasts as long as they do.
        outputs = [process.communicate(timeout=30)[0] for process in reversed(processes)]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    if any(process.returncode for process in processes):
        raise WrongAnswer(f"under the load of {LOADS[load]} something was not answered as it should be")
    timings = Timings()
    timings.seconds = json.loads(outputs[0])
    return timings


def _table(measured: dict[str, list[Timings]]) -> Table:
    title = (
        f"HTTP polls at {POLLS_PER_SECOND}/s on PostgreSQL and Redis: medians of {len(measured[NOTHING])} rounds, and "
        "the median of the ratios to the same round without (its quartiles)"
    )
    table = Table(title, "", "p50", "p99", "p50 ratio", "p99 ratio")
    for load, rounds in measured.items():
        cells = [f"{statistics.median(one.percentile(percent) for one in rounds) * 1e3:.2f} ms" for percent in (50, 99)]
        ratios = [_ratio(rounds, measured[NOTHING], percent) for percent in (50, 99)]
        table.add(LOADS[load], *cells, *(ratios if load != NOTHING else ("", "")))
    return table


def _ratio(rounds: Sequence[Timings], without: Sequence[Timings], percent: int) -> str:
    ratios = [one.percentile(percent) / other.percentile(percent) for one, other in zip(rounds, without, strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return f"{median:.2f} ({low:.2f}-{high:.2f})"

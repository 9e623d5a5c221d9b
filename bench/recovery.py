"""How long it takes to back up, verify and restore very many services, and until a running server serves them again."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from bench.answer import WrongAnswer
from bench.fleet import Fleet
from bench.processes import replica_on_port
from bench.table import Table
from bench.writes import DurablePostgres
from storage.interface import Store, Terms
from storage.postgres import PostgresStore
from storage.sqlite import SqliteStore
from tests.e2e.replica import ROOT, Replica

BACKED_UP = Fleet(100_000)

CHANGED = Fleet(100_000, operations=1)
"""The same services after a change to each."""

FOLLOWED_SECONDS = 120.0

DATABASE = "tracing-config.db"


class Ran(NamedTuple):
    """A command that was run as a process of its own."""

    said: dict[str, Any]
    seconds: float
    megabytes: float
    """The most that it held, in units of 2^20 bytes."""


def recovery(folder: Path) -> Table:
    """Back up a store of either product, restore it into both, and watch a server that serves later commits go back."""
    title = f"Backup and recovery of {BACKED_UP.services} services, each changed once since it was made"
    table = Table(title, "", "time", "memory", "file", "records", "changes")
    with DurablePostgres() as postgres:
        settings = {
            "SQLite": {"TRACING_CONFIG_DATA_DIR": str(folder / "sqlite")},
            "PostgreSQL": {"TRACING_CONFIG_DATABASE_URL": postgres.url(asyncio.run(postgres.create_database()))},
        }
        for product, source in settings.items():
            _say(f"{product}: filling it")
            asyncio.run(_fill(_store(source), [BACKED_UP, CHANGED]))
            file = folder / f"{product}.jsonl.gz"
            _say(f"{product}: backing up")
            _add(
                table,
                f"{product}, backup",
                _run(source, "backup", "--output", str(file)),
                f"{file.stat().st_size / 1e6:.1f} MB",
            )
            _add(table, f"{product}, verify", _run(source, "backup", "verify", str(file)))
            nowhere = {
                "SQLite": {"TRACING_CONFIG_DATA_DIR": str(folder / f"{product}-restored")},
                "PostgreSQL": {"TRACING_CONFIG_DATABASE_URL": postgres.url(asyncio.run(postgres.create_database()))},
            }
            for other, empty in nowhere.items():
                _say(f"{product}: restoring into {other}")
                _add(table, f"{product}, restore into an empty {other}", _restored(empty, file))
            _say(f"{product}: restoring under a server")
            asyncio.run(_fill(_store(source), [BACKED_UP]))
            data = Path(source.get("TRACING_CONFIG_DATA_DIR", folder / "replica"))
            replica, _ = replica_on_port(data, **source)
            with replica:
                ran, seconds = _restore_under(replica, source, file)
            _add(table, f"{product}, restore over later commits", ran)
            table.add("  until the server that had served those serves it", f"{seconds:.2f} s", "", "", "", "")
    return table


def _restore_under(replica: Replica, settings: dict[str, str], file: Path) -> tuple[Ran, float]:
    ran = _run(settings, "restore", str(file), "--yes")
    begin = time.perf_counter()
    while replica.health()["components"]["sampling"]["details"]["point"] != ran.said["point"]:
        if time.perf_counter() - begin > FOLLOWED_SECONDS:
            raise WrongAnswer(f"the server does not follow: {replica.health()}")
        time.sleep(0.01)
    return ran, time.perf_counter() - begin


def _restored(settings: dict[str, str], file: Path) -> Ran:
    """A restore, with the numbers of rows that are counted in the database afterwards."""
    ran = _run(settings, "restore", str(file), "--yes")
    again = _run(settings, "backup", "--output", f"{file}.again")
    if (again.said["rows"], again.said["point"]) != (ran.said["rows"], ran.said["point"]):
        raise WrongAnswer(f"{ran.said} was restored, and there is {again.said}")
    return ran


def _run(settings: dict[str, str], *arguments: str) -> Ran:
    command = [sys.executable, "-m", "server", *arguments, "--json"]
    begin = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.PIPE) as process:
        megabytes = 0.0
        while process.poll() is None:
            megabytes = max(megabytes, _most_megabytes(process.pid))
            time.sleep(0.01)
        seconds = time.perf_counter() - begin
        output, _ = process.communicate()  # A few lines, which the pipe holds.
    if process.returncode != 0:
        raise WrongAnswer(f"{arguments} ended with {process.returncode}")
    return Ran(json.loads(output), seconds, megabytes)


def _most_megabytes(process: int) -> float:
    """``VmHWM``; none of a process that is ending."""
    found = (Path("/proc") / str(process) / "status").read_text().partition("VmHWM:")[2].split()
    return int(found[0]) / 1024 if found else 0.0


def _add(table: Table, what: str, ran: Ran, size: str = "") -> None:
    rows = ran.said["rows"]
    records = rows["tracing_configurations"] + rows["sampling_policies"]
    table.add(what, f"{ran.seconds:.2f} s", f"{ran.megabytes:.0f} MB", size, str(records), str(rows["changes"]))


def _store(settings: dict[str, str]) -> Store:
    url = settings.get("TRACING_CONFIG_DATABASE_URL")
    return PostgresStore(url) if url else SqliteStore(Path(settings["TRACING_CONFIG_DATA_DIR"]) / DATABASE)


async def _fill(store: Store, fleets: list[Fleet]) -> None:
    await store.open()
    try:
        for fleet in fleets:
            await store.commit(fleet.writes(), Terms(actor="bench", reason="very many services"))
    finally:
        await store.close()


def _say(what: str) -> None:
    print(f"recovery: {what}", file=sys.stderr, flush=True)

"""What the tests of recovery have in common: a database that is lost, and servers that went on."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from server.cli.commands import commands
from tests.e2e.replica import Replica
from tests.services.postgres import PostgresServer
from tests.waiting import eventually


async def command(*arguments: str, **environment: str) -> str:
    """Run a command that must succeed; what it said."""
    result = await asyncio.to_thread(CliRunner().invoke, commands, arguments, env=environment)
    assert result.exit_code == 0, result.output
    return result.output


@contextmanager
def successor(lost: PostgresServer) -> Iterator[PostgresServer]:
    """A new server with nothing in it, at the address of one that is gone for good."""
    lost.kill()
    server = PostgresServer()
    server.port = lost.port
    with server:
        yield server


def details(replica: Replica) -> dict[str, Any]:
    found: dict[str, Any] = replica.health()["components"]["catalog"]["details"]
    return found


async def follows(replica: Replica, point: str) -> None:
    """Wait until the replica serves this point, and the store is followed."""
    await eventually(lambda: details(replica)["point"] == point and replica.health()["components"]["db"]["status"] == "UP")


async def notices(replica: Replica) -> None:
    """Wait until the replica tells that the database is not there."""
    await eventually(lambda: replica.health()["components"]["db"]["status"] == "DOWN")


def lost(replica: Replica) -> tuple[float, list[Path]]:
    """How many histories the replica saw lost, and the snapshots that it set aside."""
    return replica.metrics()["tracing_config_histories_lost_total"], list(replica.data_dir.glob("lost-*.bin"))

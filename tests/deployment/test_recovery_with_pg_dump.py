"""The way of `pg_dump` and `psql`, as the documentation has it, and every program that it needs."""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.poll_loop import PollLoop
from tests.e2e.recovery import details, follows, lost, notices, successor
from tests.e2e.replica import Replica
from tests.e2e.test_admin import refresh, validate
from tests.services.account import ENVIRONMENT
from tests.services.postgres import PostgresServer

DATABASE = "tracing_config_db"


def program(server: PostgresServer, name: str, *arguments: str, **streams: object) -> None:
    """Run one of PostgreSQL's own programs, of the version of the server."""
    where = ("-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "--no-password")
    command = [str(server.binaries / name), *where, *arguments]
    ended = subprocess.run(command, check=False, env=ENVIRONMENT, stderr=subprocess.PIPE, timeout=60, **streams)  # type: ignore[call-overload]
    assert (ended.returncode, ended.stderr) == (0, b"")


def dump(server: PostgresServer, file: Path) -> None:
    with file.open("wb") as output:
        program(server, "pg_dump", "-d", DATABASE, "--clean", "--if-exists", "--create", stdout=output)


def restore(server: PostgresServer, file: Path) -> None:
    with file.open("rb") as script:
        program(server, "psql", "-d", "postgres", "--quiet", "-v", "ON_ERROR_STOP=1", stdin=script, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("into", ["a new server", "the same server"])
async def test_a_replica_follows_a_dump_that_is_restored(tmp_path: Path, private_postgres: PostgresServer, into: str) -> None:
    program(private_postgres, "createdb", DATABASE)
    older, newest = tmp_path / "older.sql", tmp_path / "newest.sql"
    with Replica(tmp_path / "one", TRACING_CONFIG_DATABASE_URL=private_postgres.url(DATABASE)) as replica:
        assert replica.put_rate("a", 0.5).status_code == 200
        assert replica.put_rate("kept", 0.125).status_code == 200
        old = details(replica)["point"]
        dump(private_postgres, older)
        assert replica.put_rate("a", 0.25).status_code == 200
        new = details(replica)["point"]
        dump(private_postgres, newest)
        refresh(replica)
        with PollLoop([replica], "kept", 0.125) as loop:
            if into == "the same server":
                await private_postgres.drop_database(DATABASE)
                await _check(private_postgres, replica, (newest, new), (older, old))
            else:
                with successor(private_postgres) as server:
                    await _check(server, replica, (newest, new), (older, old))
            await loop.more_polls(50)
        assert loop.failures == []


async def _check(server: PostgresServer, replica: Replica, newest: tuple[Path, str], older: tuple[Path, str]) -> None:
    """Restore both dumps, the newest first: nothing is lost by it."""
    await notices(replica)
    restore(server, newest[0])
    await follows(replica, newest[1])
    assert lost(replica) == (0, [])
    await server.drop_database(DATABASE)  # `--clean` cannot while a replica is connected.
    restore(server, older[0])
    await follows(replica, older[1])
    count, [snapshot] = lost(replica)
    assert count == 1
    assert snapshot.name.startswith("lost-3-")
    assert replica.rate("a") == 0.5
    assert replica.put_rate("a", 0.75).status_code == 200
    refresh(replica)
    assert validate(replica) == (True, set(), set())

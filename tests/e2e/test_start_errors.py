"""What keeps the server from starting is one clear line, with the setting and the cure."""

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from storage.postgres import PostgresStore
from storage.snapshot_file import SnapshotFile
from tests.e2e.replica import ROOT, Replica, strategies
from tests.waiting import eventually


def refused(data_dir: Path, **settings: str) -> str:
    """Start a server that must not start; the line it says."""
    environment = {**os.environ, **Replica(data_dir, **settings).environment}
    ended = subprocess.run(
        [sys.executable, "-m", "server"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20, check=False
    )
    assert ended.returncode == 1
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, lines
    assert "Traceback" not in ended.stdout
    return lines[0]


@pytest.mark.parametrize("setting", ["GRPC_PORTS", "HTTP_PORTS", "SIDECAR_PORT", "METRICS_PORT"])
def test_a_port_in_use(tmp_path: Path, setting: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        line = refused(tmp_path, **{f"TRACING_CONFIG_{setting}": port})
    assert f"TRACING_CONFIG_{setting}" in line
    assert port in line


def test_a_bad_setting(tmp_path: Path) -> None:
    assert "TRACING_CONFIG_DRAIN_SECONDS" in refused(tmp_path, TRACING_CONFIG_DRAIN_SECONDS="soon")


def test_a_broken_strategies_file(tmp_path: Path) -> None:
    file = tmp_path / "strategies.json"
    for content in ("", "{", strategies(0.5) + "x", '{"default_strategy": 7}'):
        file.write_text(content)
        line = refused(tmp_path / "data", TRACING_CONFIG_STRATEGIES_FILE=str(file))
        assert "TRACING_CONFIG_STRATEGIES_FILE" in line
        assert str(file) in line


def test_a_missing_strategies_file(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path, TRACING_CONFIG_STRATEGIES_FILE=str(tmp_path / "none.json"))


def test_a_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "TRACING_CONFIG_DATA_DIR" in refused(tmp_path / "file" / "data")


def test_a_folder_for_the_log_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = refused(tmp_path / "data", TRACING_CONFIG_LOG_DIR=str(tmp_path / "file" / "logs"))
    assert line.startswith(
        f"tracing-config: TRACING_CONFIG_LOG_DIR: cannot write in {tmp_path}/file/logs: Not a directory; name"
    )
    assert not (tmp_path / "data").exists()


def test_a_bad_redis_address_is_named_without_its_password(tmp_path: Path) -> None:
    line = refused(tmp_path, TRACING_CONFIG_REDIS_URL="redis://:hunter2@host:port")
    assert "TRACING_CONFIG_REDIS_URL" in line
    assert "hunter2" not in line


def test_a_file_of_certificates_that_is_not_there_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    url = "postgresql://someone:hunter2@127.0.0.1:1/nothing?sslmode=verify-full&sslrootcert=/none.pem"
    file = tmp_path / "url"
    file.write_text(url)
    for variable, value in (
        ("TRACING_CONFIG_DATABASE_URL", url),
        ("TRACING_CONFIG_DATABASE_URL_FILE", str(file)),
        ("TRACING_CONFIG_REDIS_URL", "rediss://:hunter2@127.0.0.1:1/0?ssl_ca_certs=/none.pem"),
    ):
        line = refused(tmp_path / "data", **{variable: value})
        assert line.startswith(f"tracing-config: {variable}: ssl")
        assert "cannot read /none.pem: No such file" in line
        assert "hunter2" not in line
        assert list((tmp_path / "data").iterdir()) in ([], [tmp_path / "data" / "admin-token"])


def test_a_bad_database_address_is_named_without_its_password(tmp_path: Path) -> None:
    line = refused(tmp_path, TRACING_CONFIG_DATABASE_URL="postgresql://someone:hunter2@host:99999/nothing")
    assert "TRACING_CONFIG_DATABASE_URL" in line
    assert "hunter2" not in line


NEWER = "INSERT INTO schema_migrations (number, name, checksum, oldest_program) VALUES (99, 'newer', '', 99)"


async def test_a_database_of_a_newer_version_ends_a_start_that_has_nothing_to_answer_from(
    tmp_path: Path, postgres_url: str
) -> None:
    store = PostgresStore(postgres_url)
    await store.open()
    await store.close()
    with Replica(tmp_path / "with-a-copy", TRACING_CONFIG_DATABASE_URL=postgres_url) as replica:
        assert replica.put_rate("checkout", 0.5).status_code == 200
        snapshot = SnapshotFile(tmp_path / "with-a-copy", store.address)
        await eventually(lambda: _revision(snapshot) == 1)  # One of the empty store may be there before.
        replica.stop()
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(NEWER)
        before = await connection.fetchval("SELECT count(*) FROM revisions")

        line = refused(tmp_path / "empty", TRACING_CONFIG_DATABASE_URL=postgres_url)
        assert line.startswith("tracing-config: TRACING_CONFIG_DATABASE_URL: the database has schema 99")
        assert line.endswith("start a newer version")

        replica.start()
        assert replica.rate("checkout") == 0.5
        assert "start a newer version" in replica.health()["components"]["db"]["details"]["problem"]
        assert await connection.fetchval("SELECT count(*) FROM revisions") == before
        await connection.close()


def _revision(snapshot: SnapshotFile) -> int | None:
    header = asyncio.run(snapshot.header())
    return None if header is None else header.point.revision


def test_a_file_of_a_newer_version_is_named_by_its_folder(tmp_path: Path) -> None:
    with Replica(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "tracing-config.db", isolation_level=None)) as connection:
        connection.execute(NEWER)
    for copy in tmp_path.glob("snapshot-*"):
        copy.unlink()
    assert refused(tmp_path).startswith("tracing-config: TRACING_CONFIG_DATA_DIR: the database has schema 99")


def test_a_database_that_cannot_be_reached_is_told_and_the_start_goes_on(tmp_path: Path) -> None:
    url = "postgresql://someone:hunter2@127.0.0.1:1/nothing"
    with Replica(tmp_path, TRACING_CONFIG_DATABASE_URL=url).start(ready=False) as replica:
        told = [event for event in replica.events if event["level"] == "ERROR"]
        assert len(told) == 1
        assert "127.0.0.1:1" in str(told[0])
        assert "hunter2" not in str(replica.events)
        assert replica.health()["components"]["db"]["status"] == "DOWN"


def test_streams_that_are_closed_are_told_nothing_and_end_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, **Replica(tmp_path / "file" / "data").environment}
    (tmp_path / "file").touch()
    ended = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m server >&- 2>&- <&-"], cwd=ROOT, env=environment, timeout=20, check=False
    )
    assert ended.returncode == 1

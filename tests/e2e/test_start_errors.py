"""What keeps the server from starting is one clear line, with the setting and the cure."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.replica import ROOT, Replica, strategies


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


def test_a_bad_redis_address_is_named_without_its_password(tmp_path: Path) -> None:
    line = refused(tmp_path, TRACING_CONFIG_REDIS_URL="redis://:hunter2@host:port")
    assert "TRACING_CONFIG_REDIS_URL" in line
    assert "hunter2" not in line


def test_a_database_that_cannot_be_reached_is_told_and_the_start_goes_on(tmp_path: Path) -> None:
    url = "postgresql://someone:hunter2@127.0.0.1:1/nothing"
    with Replica(tmp_path, TRACING_CONFIG_DATABASE_URL=url).start(ready=False) as replica:
        told = [event for event in replica.events if event["level"] == "ERROR"]
        assert len(told) == 1
        assert "127.0.0.1:1" in str(told[0])
        assert "hunter2" not in str(replica.events)
        assert replica.health()["components"]["db"]["status"] == "DOWN"

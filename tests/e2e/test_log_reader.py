"""Whoever reads the log may stall: nobody who polls or asks notices."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx

from server.telemetry.log_writer import MOST_WAITING
from tests.e2e.replica import PLAIN, ROOT, TOKEN, Replica
from tests.waiting import eventually


def test_a_log_that_nobody_reads_holds_up_no_poll_and_no_file_and_tells_later_what_was_dropped(tmp_path: Path) -> None:
    replica = Replica(tmp_path, LOG_LEVEL="DEBUG", TRACING_CONFIG_LOG_DIR=str(tmp_path / "logs"))
    environment = {**os.environ, **replica.environment}
    with subprocess.Popen(
        [sys.executable, "-m", "server"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            asyncio.run(eventually(lambda: _polled(replica)))
            # Far more than a pipe and what may wait hold, each a line.
            headers = {"Authorization": f"Bearer {TOKEN}"}
            with httpx.Client(base_url=replica.sidecar_url, headers=headers, timeout=5, **PLAIN) as client:
                for _ in range(MOST_WAITING + 2000):
                    assert client.get("/actuator/health/liveness").status_code == 200
            assert replica.rate("checkout") == 0.001
            process.terminate()
            text, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0
    (told,) = [json.loads(line) for line in text.splitlines() if b"lines of the log were dropped" in line]
    assert (told["level"], told["logger"], told["dropped"] > 0) == ("WARN", "server.telemetry.log_writer", True)
    in_file = (tmp_path / "logs" / "tracing-config.log").read_bytes()
    assert in_file.count(b"/actuator/health/liveness") == MOST_WAITING + 2000


def _polled(replica: Replica) -> bool:
    try:
        return replica.poll_http("checkout") is not None
    except httpx.HTTPError:
        return False

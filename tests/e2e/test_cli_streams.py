"""How commands end whose output nobody reads, cannot be written or is closed, and those that Ctrl-C interrupts."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.command_line import DONE, FAILED, PENDING, USAGE, environment
from tests.e2e.replica import ROOT, Replica

INTERRUPTED = 130

PROGRAM = [sys.executable, "-m", "server"]


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    with Replica(tmp_path_factory.mktemp("streams")) as replica:
        yield replica


def shell(replica: Replica, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell in which ``tracing-config`` is the command."""
    return subprocess.run(
        ["bash", "-c", f'tracing-config() {{ {shlex.join(PROGRAM)} "$@"; }}; {line}'],
        cwd=ROOT,
        env={**os.environ, **environment(replica)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def unread(replica: Replica, *arguments: str, errors: bool = False) -> subprocess.CompletedProcess[bytes]:
    """Run a command whose reader, also of errors, has gone away before it writes anything."""
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        return subprocess.run(
            [*PROGRAM, *arguments],
            cwd=ROOT,
            env={**os.environ, **environment(replica)},
            stdout=theirs,
            stderr=theirs if errors else subprocess.PIPE,
            check=False,
            timeout=60,
        )
    finally:
        os.close(theirs)


def test_a_command_keeps_its_exit_code_where_its_reader_has_gone_away(replica: Replica, tmp_path: Path) -> None:
    file = tmp_path / "many.json"
    record = {"samplingStrategy": {"type": "probabilistic", "param": 0.5}}
    file.write_text(json.dumps({"services": {f"unread-{number:04}": record for number in range(3000)}}))
    for arguments, code in (
        (("--help",), DONE),
        (("set", "service", "unread", "--probability", "0.5"), DONE),
        (("apply", "-f", str(file), "--owner", "unread", "--dry-run"), PENDING),
        (("import", str(file)), DONE),
        (("list", "services"), DONE),  # More than a pipe holds.
        (("history", "--limit", "3000", "--json"), DONE),
        (("set", "policy", "unread", "--pattern", "*", "--probability", "1", "--dry-run"), PENDING),
    ):
        ran = unread(replica, *arguments)
        assert (ran.returncode, ran.stderr) == (code, b""), arguments
    assert replica.rate("unread") == 0.5
    ran = unread(replica, "get", "service", "there is none")
    assert ran.returncode == FAILED
    assert b"there is no service" in ran.stderr


def test_errors_that_nobody_reads_do_not_change_the_exit_code_either(replica: Replica) -> None:
    assert unread(replica, "set", "service", "a", errors=True).returncode == USAGE


def test_output_that_cannot_be_written_is_told_in_a_line(replica: Replica) -> None:
    for arguments in ("get default", "--help", "export"):
        full = shell(replica, f"tracing-config {arguments} > /dev/full")
        assert full.returncode == FAILED
        assert full.stderr == "tracing-config: the output cannot be written: No space left on device\n"


def test_a_command_whose_streams_are_closed_does_its_work(replica: Replica) -> None:
    for closed in (">&-", "2>&-", ">&- 2>&- <&-"):
        replica.put_rate("closed", 0.25)
        ran = shell(replica, f"tracing-config set service closed --probability 0.5 {closed}")
        assert (ran.returncode, ran.stderr) == (DONE, "")
        assert (ran.stdout == "") == (">&-" in closed.split())
        assert replica.rate("closed") == 0.5


@pytest.mark.parametrize(
    ("arguments", "module"),
    [(["--help"], "server.cli.commands"), (["get", "default"], "httpx"), (["serve"], "server.cli.serve")],
)
def test_a_command_that_is_interrupted_while_it_starts_ends_in_silence(
    replica: Replica, arguments: list[str], module: str
) -> None:
    program = f"""
import os, signal, sys
class Interrupting:
    def find_spec(name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting)
from server.__main__ import run
run({arguments!r})
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, **environment(replica)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (INTERRUPTED, "", "")


def interrupt(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Send SIGINT until the process ends: one that comes right before it begins to wait for the network is noticed later."""
    try:
        for _ in range(5):
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                return process.communicate(timeout=5)
        raise AssertionError("it cannot be interrupted")
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("arguments", "writes"),
    [
        (("set", "default", "--probability", "1"), True),
        (("delete", "boost", "a"), True),
        (("set", "default", "--probability", "1", "--dry-run"), False),
        (("get", "default"), False),
    ],
)
def test_ctrl_c_while_a_write_is_under_way_tells_where_to_look(
    replica: Replica, arguments: tuple[str, ...], writes: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        process = subprocess.Popen(
            [*PROGRAM, *arguments, "--url", f"http://127.0.0.1:{server.getsockname()[1]}"],
            cwd=ROOT,
            env={**os.environ, **environment(replica)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = server.accept()
        with connection:
            assert connection.recv(65536)
            output, errors = interrupt(process)
    assert (process.returncode, output) == (INTERRUPTED, "")
    assert ("`tracing-config history` tells" in errors) == writes
    assert errors.count("\n") == int(writes)


def test_a_connection_that_breaks_while_a_write_is_under_way_leaves_it_open(replica: Replica) -> None:
    for arguments, writes in (("set default --probability 1", True), ("get default", False)):
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(30)
            process = subprocess.Popen(
                [*PROGRAM, *arguments.split(), "--url", f"http://127.0.0.1:{server.getsockname()[1]}"],
                cwd=ROOT,
                env={**os.environ, **environment(replica)},
                stderr=subprocess.PIPE,
                text=True,
            )
            connection, _ = server.accept()
            with connection:
                assert connection.recv(65536)
            _, errors = process.communicate(timeout=30)
        assert process.returncode == FAILED
        assert ("`tracing-config history` tells" in errors) == writes

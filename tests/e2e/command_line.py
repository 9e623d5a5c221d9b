"""The command line as a test runs it: in this process, or as a child on a terminal."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable

from typer.testing import CliRunner, Result

from server.cli.commands import commands
from tests.e2e.replica import ROOT, TOKEN, Replica
from tests.services.local_server import free_port

DONE, FAILED, USAGE, PENDING = 0, 1, 2, 3
"""Exit codes."""

Run = Callable[..., Result]


def environment(replica: Replica, **changed: str) -> dict[str, str]:
    """The variables that name the server and hold the token."""
    return {"TRACING_CONFIG_URL": replica.sidecar_url, "TRACING_CONFIG_TOKEN": TOKEN, **changed}


def runner(replica: Replica) -> Run:
    """Runs one command after the other against a replica, as from a pipe, and checks how it ends."""

    def run(*arguments: str, code: int = DONE, typed: str | None = None, **changed: str) -> Result:
        result = CliRunner().invoke(commands, arguments, input=typed, env=environment(replica, **changed))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert (result.exit_code, result.output) == (code, result.output)
        return result

    return run


def on_terminal(replica: Replica, *arguments: str, typed: str = "", code: int = DONE) -> str:
    """What a person sees who runs a command. The size and kind of the terminal are fixed."""
    ours, theirs = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "server", *arguments],
            cwd=ROOT,
            env={**kept, "TERM": "xterm", "COLUMNS": "200", **environment(replica)},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        os.write(ours, typed.encode())
        shown = bytearray()
        while chunk := _read(ours):
            shown += chunk
        assert process.wait(30) == code, shown
    finally:
        os.close(ours)
    return shown.decode()


def _read(terminal: int) -> bytes:
    """Reading fails once the other side is closed."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def lines(result: Result) -> list[str]:
    return result.stdout.splitlines()


def newest_revision(replica: Replica) -> int:
    changes = replica.api("GET", "/changes", params={"limit": 1}).json()["changes"]
    revision: int = changes[0]["revision"] if changes else 0
    return revision


def closed_port() -> int:
    """A port on which nobody listens, and no other process of the tests will."""
    return free_port()

"""The command line as a test runs it: in this process, or as a child on a terminal."""

import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable
from typing import Self

from typer.testing import CliRunner, Result

from server.cli.commands import commands
from tests.e2e.replica import ROOT, TOKEN, Replica
from tests.services.local_server import free_port

DONE, FAILED, USAGE, PENDING = 0, 1, 2, 3
"""Exit codes."""

SECONDS = 30.0
"""A command says something within this time."""

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


class Terminal:
    """A command on a terminal of its own, of a fixed size and kind, in the hands of a person."""

    def __init__(self, replica: Replica, *arguments: str, columns: int = 200) -> None:
        self._ours, theirs = pty.openpty()
        kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "server", *arguments],
            cwd=ROOT,
            env={**kept, "TERM": "xterm", "COLUMNS": str(columns), **environment(replica)},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._unread = b""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def until(self, text: str) -> str:
        """What is shown next, up to the end of a text that must come."""
        while text.encode() not in self._unread:
            chunk = self._read()
            assert chunk, self._unread
            self._unread += chunk
        shown, found, self._unread = self._unread.partition(text.encode())
        return (shown + found).decode()

    def end(self, code: int = DONE) -> str:
        """The rest of what is shown by a command that ends with this code."""
        while chunk := self._read():
            self._unread += chunk
        assert self._process.wait(SECONDS) == code, self._unread
        return self._unread.decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(SECONDS)
        os.close(self._ours)

    def _read(self) -> bytes:
        ready, _, _ = select.select([self._ours], [], [], SECONDS)
        assert ready, f"nothing more is shown after {self._unread!r}"
        try:
            return os.read(self._ours, 65536)
        except OSError:  # The other side is closed.
            return b""


def on_terminal(replica: Replica, *arguments: str, typed: str = "", code: int = DONE, columns: int = 200) -> str:
    """What a person sees who runs a command."""
    with Terminal(replica, *arguments, columns=columns) as terminal:
        terminal.type(typed)
        return terminal.end(code)


def lines(result: Result) -> list[str]:
    return result.stdout.splitlines()


def newest_revision(replica: Replica) -> int:
    changes = replica.api("GET", "/changes", params={"limit": 1}).json()["changes"]
    revision: int = changes[0]["revision"] if changes else 0
    return revision


def closed_port() -> int:
    """A port on which nobody listens, and no other process of the tests will."""
    return free_port()

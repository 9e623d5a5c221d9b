"""A real PgBouncer before a PostgreSQL, where the machine has one."""

import shutil
import signal
import socket
from typing import ClassVar

from tests.services.local_server import LocalServer
from tests.services.postgres import PostgresServer

PROGRAM = shutil.which("pgbouncer", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
"""None where none is installed (Debian: `apt-get install pgbouncer`)."""


class PgBouncerServer(LocalServer):
    """Hands each transaction to any of a few sessions of the server, ``sessions`` for each database.

    In ``mode`` session a client keeps the session that it was given.
    """

    name: ClassVar[str] = "pgbouncer"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM  # at once

    def __init__(self, postgres: PostgresServer, *, sessions: int = 2, mode: str = "transaction") -> None:
        super().__init__(postgres.account)
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": mode,
            "default_pool_size": str(sessions),
            "max_client_conn": "1000",
            # Otherwise it hands out the session that was used last, nearly always the same one.
            "server_round_robin": "1",
        }
        lines = [f"* = host=127.0.0.1 port={postgres.port} user=postgres", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in settings.items()]
        self._configuration = self.folder / "pgbouncer.ini"
        self._configuration.write_text("\n".join(["[databases]", *lines, ""]))
        self.account.give(self.folder)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def command(self) -> list[str]:
        assert PROGRAM is not None
        return [PROGRAM, str(self._configuration)]

    def is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return True
        except OSError:
            return False

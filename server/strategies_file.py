"""The strategies file on disk: read at the start, and again whenever it changes."""

import asyncio
import hashlib
import os
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import structlog

from sampling.strategies_file import NO_FILE, StrategiesFile, StrategiesFileError
from sampling.strategies_file_reader import read_in_slices
from server.settings import PREFIX
from storage.pacing import paced
from storage.regular_file import open_regular

MAX_FILE_BYTES = 512 * 1024 * 1024
"""A larger file is refused. (100,000 services with 30 operations each are half of it.)"""

LOOK_SECONDS = 1.0
"""The file is looked at so often whatever the system tells of changes: it tells nothing of a link's target in another
folder, of most network file systems, or of a folder that went away and came back."""

LOGGED_WARNINGS = 5

_log = structlog.get_logger(__name__)


def load_bytes(path: Path, *, pipes: bool = False) -> bytes:
    """The content of a strategies file. A pipe is waited for only where that is asked for.

    Raises:
        StrategiesFileError: it cannot be read, is no regular file, or is larger than MAX_FILE_BYTES.
    """
    try:
        with path.open("rb") if pipes else open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_FILE_BYTES:
                raise StrategiesFileError(f"{path}: has {size} bytes; at most {MAX_FILE_BYTES} are read")
            return file.read()
    except OSError as error:
        raise StrategiesFileError(f"{path}: cannot be read: {error.strerror}; name a file that this user can read") from None


class StrategiesFileWatch:
    """Holds the last good state of the file. It is replaced whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.current = NO_FILE
        """What the file said when it could last be served."""
        self.problem: str | None = None
        """Why the file as it is now cannot be served; None while ``current`` is the file as it is now."""
        self.loaded_at = 0.0
        """When it was last read and could be served, in seconds since the epoch; 0 before the first time."""
        self.changed: Callable[[StrategiesFile], None] = _nobody
        """Is called with the new state after each good change."""
        self._version: tuple[int, ...] | None = None
        self._judged: str | None = None
        """What was last judged and logged: the digest of the content, or the reason why there is none."""

    async def load(self) -> None:
        """Read the file for the first time.

        Raises:
            StrategiesFileError: in one line, with the setting that names the file.
        """
        self._version = await asyncio.to_thread(_version, self.path)
        try:
            data, self._judged = await asyncio.to_thread(_load, self.path)
            self.current = await self._read(data)
        except StrategiesFileError as error:
            raise StrategiesFileError(f"{PREFIX}STRATEGIES_FILE: {error}") from None
        self._loaded()

    async def run(self) -> None:
        """Follow the file until cancelled. What cannot be served is logged once and leaves ``current`` as it is."""
        from watchfiles import awatch  # noqa: PLC0415 - only those with a strategies file pay for it
        from watchfiles._rust_notify import WatchfilesRustInternalError  # noqa: PLC0415

        # The folder is watched and not the file: a ConfigMap swaps a link beside it.
        folder = self.path.parent.absolute()
        while True:
            watched = await asyncio.to_thread(_identity, folder)
            rounds = awatch(
                folder,
                watch_filter=None,
                recursive=False,
                rust_timeout=int(LOOK_SECONDS * 1000),
                yield_on_timeout=True,
            )
            try:
                async with aclosing(rounds):
                    async for changes in rounds:
                        # Two writes within one tick of the file system's clock leave the same version.
                        touched = any(Path(path).name == self.path.name for _, path in changes)
                        await self._look(touched=touched)
                        # A folder that comes back may be given the number of the one that went.
                        gone = any(Path(path) == folder for _, path in changes)
                        if gone or await asyncio.to_thread(_identity, folder) != watched:
                            break
            except (OSError, WatchfilesRustInternalError):
                # No such folder now, or the system has no more watches to give.
                await self._look()
                await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, *, touched: bool = False) -> None:
        version = await asyncio.to_thread(_version, self.path)
        if version == self._version and not touched:
            return
        self._version = version
        try:
            data, digest = await asyncio.to_thread(_load, self.path)
        except StrategiesFileError as error:
            if self._judged != str(error):
                self._judged = str(error)
                self._fail(error)
            return
        if self._judged == digest:
            return
        self._judged = digest
        if digest != self.current.sha256:
            try:
                file = await self._read(data)
            except StrategiesFileError as error:
                self._fail(error)
                return
            self.current = file
            self.changed(file)
        self.problem = None
        self._loaded()

    async def _read(self, data: bytes) -> StrategiesFile:
        try:
            return await paced(read_in_slices(data))
        except StrategiesFileError as error:
            raise StrategiesFileError(f"{self.path}: {error}") from None

    def _fail(self, error: StrategiesFileError) -> None:
        self.problem = str(error)
        _log.error("the strategies file cannot be served; its last good state stays", reason=self.problem)

    def _loaded(self) -> None:
        self.loaded_at = time.time()
        file = self.current
        _log.info(
            "the strategies file is loaded",
            path=str(self.path),
            sha256=file.sha256,
            services=len(file.services),
            warnings=file.warning_count,
            first_warnings=[str(warning) for warning in file.warnings[:LOGGED_WARNINGS]],
        )


def _nobody(_file: StrategiesFile) -> None:
    pass


def _load(path: Path) -> tuple[bytes, str]:
    data = load_bytes(path)
    return data, hashlib.sha256(data).hexdigest()


def _version(path: Path) -> tuple[int, ...] | None:
    """What differs between two states of a file, as far as it can be seen without reading it; None where it is not."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _identity(path: Path) -> tuple[int, ...] | None:
    version = _version(path)
    return None if version is None else version[:2]

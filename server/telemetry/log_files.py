"""The lines of the log in files: the newest in ``tracing-config.log``, those before in ``tracing-config.1.log`` and so on."""

import fcntl
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import structlog

MAX_FILE_BYTES = 10 * 1024 * 1024

MAX_FILES = 10

LINES_AT_ONCE = 100
"""So that the lines that waited for a disk fit the files."""

_log = structlog.get_logger(__name__)


class LogFiles:
    """Writes what it can, and tells of what it cannot once. See ``Output``.

    Each time it looks whether the file is still there: it may have been deleted, or moved by another server in the same folder.
    The folder itself is only made at the start: later its place may be where a volume is to come back.
    """

    dropped = "lines of the log were dropped: its files could not be written fast enough"

    def __init__(self, folder: Path, max_bytes: int = MAX_FILE_BYTES) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._current = folder / "tracing-config.log"
        self._descriptor: int | None = None
        self._lost = 0
        """Lines, since the last one that could be written."""

    def open(self) -> None:
        """Raises OSError where nothing can be written there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._descriptor = _opened(self._current)

    def write(self, lines: Sequence[str]) -> None:
        for start in range(0, len(lines), LINES_AT_ONCE):
            self._write(lines[start : start + LINES_AT_ONCE])

    def _write(self, lines: Sequence[str]) -> None:
        try:
            self._append("".join(lines).encode())
        except OSError as error:
            if not self._lost:
                _log.warning(
                    "the files of the log cannot be written; the standard output goes on",
                    file=str(self._current),
                    reason=error.strerror,
                )
            self._lost += len(lines)
        else:
            if self._lost:
                _log.info("the files of the log are written again", file=str(self._current), lost=self._lost)
            self._lost = 0

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _append(self, content: bytes) -> None:
        descriptor = self._descriptor
        if descriptor is None or not self._is_current(descriptor):
            descriptor = self._reopen()
        size = os.fstat(descriptor).st_size
        if size and size + len(content) > self._max_bytes:
            self._rotate(descriptor)
            descriptor = self._reopen()
            size = os.fstat(descriptor).st_size
        written = 0
        try:
            while written < len(content):
                written += os.write(descriptor, content[written:])
        except OSError:
            # So that none of these lines is half; not where another server wrote meanwhile.
            if written and os.fstat(descriptor).st_size == size + written:
                os.ftruncate(descriptor, size)
            raise

    def _reopen(self) -> int:
        self.close()
        self._descriptor = descriptor = _opened(self._current)
        return descriptor

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(self._current.stat(), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def _rotate(self, descriptor: int) -> None:
        """Unless another server does it, or has done it: two at once would put one file in place of another."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # Until it is closed.
        except BlockingIOError:
            return
        except OSError:  # There are no locks on that disk.
            pass
        if not self._is_current(descriptor):
            return
        files = [self._current, *(self._folder / f"tracing-config.{number}.log" for number in range(1, MAX_FILES))]
        for newer, older in reversed(list(pairwise(files))):
            with suppress(FileNotFoundError):
                newer.replace(older)


def _opened(path: Path) -> int:
    """To be appended to, mode 0640; what is no regular file might keep the thread waiting."""
    # Not to wait for the reader of a pipe either.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o640)
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise OSError(0, "tracing-config.log is no regular file")
        if not state.st_size:
            with suppress(PermissionError):  # It was made by another user, who let us write.
                os.fchmod(descriptor, 0o640)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor

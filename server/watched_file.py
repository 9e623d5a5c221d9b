"""A small file that is used as it is now: read at the start, and again when it changes."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

Content = TypeVar("Content")

SETTLED_SECONDS = 2.0
"""A file that was written less long ago is read at every look: a second write may fall into the same tick of the file system's
clock."""

_log = structlog.get_logger(__name__)


class WatchedFile(Generic[Content]):
    """Hands on the last good content. It blocks."""

    def __init__(self, setting: str, path: Path, read: Callable[[Path], Content], use: Callable[[Content], None]) -> None:
        """``read`` raises ValueError, in one line without any secret; ``use`` is called with each new content."""
        self.setting = setting
        """What names the file, for errors and the log: a variable, or its path."""
        self._path, self._read, self._use = path, read, use
        self._version: tuple[int, ...] | None = None
        self.problem: str | None = None
        """Why its present content cannot be used; None where it is."""
        self._content: Content | None = None

    def load(self) -> None:
        """Read it for the first time. Raises ValueError."""
        version = self._look()
        self._content = self._read(self._path)
        self._version = version
        self._use(self._content)

    def reload(self) -> None:
        """Read it where it was written, or is another file, since it was last read.

        What cannot be read is logged once, changes nothing, and is tried again every time: it may be half written.
        """
        version = self._look()
        if version is not None and version == self._version and self.problem is None:
            return
        try:
            content = self._read(self._path)
        except ValueError as error:
            if self.problem != str(error):
                self.problem = str(error)
                _log.error("a file cannot be used; its last good content stays", setting=self.setting, reason=self.problem)
            return
        self._version, self.problem = version, None
        if content != self._content:
            self._content = content
            self._use(content)
            _log.info("a file was read again", setting=self.setting, path=str(self._path))

    def _look(self) -> tuple[int, ...] | None:
        """What differs between two states of a file, through links; None where that cannot be told without reading it."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        if time.time() - status.st_mtime < SETTLED_SECONDS:
            return None
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

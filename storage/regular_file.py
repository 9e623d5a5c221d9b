"""Files that others name: read only where nothing can keep the reader waiting."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file to be read. Raises OSError, also for what would keep a reader waiting, for ever perhaps: a pipe, a device."""
    return open(path, "rb", opener=_at_once)


def _at_once(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if stat.S_ISDIR(mode := os.fstat(descriptor).st_mode) or stat.S_ISREG(mode):
        return descriptor  # Of a folder Python itself says what it is.
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is no regular file")

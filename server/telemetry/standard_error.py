"""What native code writes to the standard error becomes lines of the log: the banner and the failures of h2corn, a panic in it,
what the core of grpcio says."""

import faulthandler
import fcntl
import os
import sys
from contextlib import suppress
from threading import Thread

import msgspec
import structlog

PIPE_BYTES = 1024 * 1024
"""As much as an unprivileged process may have. What does not fit is lost: who writes may hold the interpreter's lock, and the
reader would never come to read."""

MAX_LINE_BYTES = 64 * 1024
"""Of what has no end of a line."""

CLOSE_SECONDS = 1.0

_stderr = structlog.get_logger("stderr")
_h2corn = structlog.get_logger("h2corn")


class StandardError:
    """Descriptor 2 while it is open.

    Of a process that is killed by a signal of its own the last words may stay in the pipe; Python then tells its stacks on the
    standard error proper.
    """

    def __init__(self) -> None:
        self._proper = -1
        self._thread = Thread()

    def open(self) -> None:
        self._proper = os.dup(2)
        reading, writing = os.pipe()
        with suppress(OSError, AttributeError):  # The user has too many pipes already, or this is not Linux.
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(writing, False)
        os.dup2(writing, 2, inheritable=True)
        os.close(writing)
        faulthandler.enable(self._proper)
        self._thread = Thread(target=_read, args=(reading,), name="standard error", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """From then on the standard error is what it was; what was written before is told."""
        with suppress(OSError):  # The pipe is full.
            sys.stderr.flush()
        faulthandler.disable()
        os.dup2(self._proper, 2, inheritable=True)  # The only writing end of the pipe is closed with that.
        os.close(self._proper)
        self._thread.join(CLOSE_SECONDS)


def _read(reading: int) -> None:
    rest = b""
    while chunk := os.read(reading, MAX_LINE_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            lines.append(rest)
            rest = b""
        for line in lines:
            _tell(line)
    _tell(rest)
    os.close(reading)


class _Event(msgspec.Struct):
    """What h2corn writes with its log format ``json``."""

    level: str
    event: str
    subject: str = ""
    detail: str = ""
    """Of a request that failed: the traceback."""

    url: str = ""
    version: str = ""


_decoder = msgspec.json.Decoder(_Event)


def _tell(line: bytes) -> None:
    try:
        said = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        if text := line.decode(errors="replace").strip():
            _stderr.warning(text)
        return
    # Its banner says what our own line does, that says it once all else is open too.
    tell = _h2corn.debug if said.level == "info" else _h2corn.error
    fields = {"url": said.url, "version": said.version, "exception": said.detail}
    message = f"{said.subject} {said.event}" if said.subject else said.event
    tell(message, **{name: value for name, value in fields.items() if value})

"""Where the lines of the log go: a thread writes them, so that a reader or a disk that stalls holds up nobody."""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from threading import Condition, Thread
from typing import Protocol

import structlog

MOST_WAITING = 2000
"""Lines. More are dropped, and counted, until the output goes on."""

CLOSE_SECONDS = 2.0

_log = structlog.get_logger(__name__)


class Output(Protocol):
    """Takes the lines of one writer, in its thread."""

    dropped: str
    """What is told when lines had to be dropped: of what, and why."""

    def write(self, lines: Sequence[str]) -> None:
        """Write whole lines; may block. Raises OSError where they are lost and nobody is to be told."""

    def close(self) -> None:
        """Nothing is written any more."""


class LogWriter:
    """Takes whole lines and never waits; what does not fit is told by a line of its own once there is room again."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lines: deque[str] = deque()
        self._changed = Condition()
        self._dropped = 0
        self._closing = False
        # A daemon: one that waits for a reader must not keep the process from ending.
        self._thread = Thread(target=self._run, name="log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def write(self, line: str) -> None:
        with self._changed:
            if len(self._lines) < MOST_WAITING:
                self._lines.append(line)
                self._changed.notify()
            else:
                self._dropped += 1

    def close(self) -> None:
        """Write what waits, in CLOSE_SECONDS at the most."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._lines and not self._closing:
                    self._changed.wait()
                lines, dropped = [*self._lines], self._dropped
                self._lines.clear()
                self._dropped = 0
            if dropped:
                _log.warning(self._output.dropped, dropped=dropped)
            if not lines:
                self._output.close()
                return
            with suppress(OSError):
                self._output.write(lines)

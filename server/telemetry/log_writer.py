"""Where the lines of the log go: a thread writes them, so that a reader of the standard output that stalls holds up nobody."""

import json
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from threading import Condition, Thread
from typing import TextIO

MOST_WAITING = 2000
"""Lines. More are dropped, and counted, until the reader goes on."""

CLOSE_SECONDS = 2.0


class LogWriter:
    """Takes whole lines and never waits; what does not fit is told by a line of its own once there is room again."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._lines: deque[str] = deque()
        self._changed = Condition()
        self._dropped = 0
        self._closing = False
        # A daemon: one that waits for a reader must not keep the process from ending.
        self._thread = Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        with self._changed:
            if len(self._lines) < MOST_WAITING:
                self._lines.append(text)
                self._changed.notify_all()
            else:
                self._dropped += 1

    def flush(self) -> None:
        """The thread does it."""

    def close(self) -> None:
        """Write what waits, in CLOSE_SECONDS at the most."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._lines and not self._closing:
                    self._changed.wait()
                lines, dropped = [*self._lines], self._dropped
                self._lines.clear()
                self._dropped = 0
            if not lines:
                return
            if dropped:
                lines.append(_dropped_line(dropped))
            with suppress(OSError, ValueError):  # The reader is gone for good: nobody is there to be told.
                self._output.write("".join(lines))
                self._output.flush()


def _dropped_line(count: int) -> str:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    message = "lines of the log were dropped: nobody read the standard output"
    return json.dumps({"@timestamp": now, "level": "WARNING", "message": message, "dropped": count}) + "\n"

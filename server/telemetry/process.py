"""What this process uses, and for how long it runs."""

import resource
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, process_time

LEAST_SECONDS = 1.0
"""A use of processors is told over so long at least: two questions at once would have the second one hear noise."""

_STATM = Path("/proc/self/statm")


class Process:
    """Reads when it is asked. ``clock`` and ``processor_time`` are in seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic, processor_time: Callable[[], float] = process_time) -> None:
        self._clock, self._processor_time = clock, processor_time
        self.started_at = datetime.now(UTC)
        self._started = self._asked = clock()
        self._used_then = processor_time()
        self._processors = 0.0

    @property
    def uptime(self) -> float:
        """Seconds since it began to start, whatever became of the time of day."""
        return self._clock() - self._started

    @property
    def memory_bytes(self) -> int:
        """Memory that it holds now (its resident set)."""
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()

    def processors(self) -> float:
        """How many processors it kept busy since this was asked before, or since the start."""
        now = self._clock()
        if now - self._asked >= LEAST_SECONDS:
            used = self._processor_time()
            self._processors = (used - self._used_then) / (now - self._asked)
            self._asked, self._used_then = now, used
        return self._processors

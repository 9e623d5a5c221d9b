"""The pauses of Python's garbage collector: nothing else runs meanwhile, polls neither."""

import gc
from time import perf_counter
from typing import Any

from server.telemetry.timer import Timer


class GarbagePauses:
    """Times them between ``start`` and ``stop``."""

    def __init__(self) -> None:
        self.timer = Timer()
        """By the clock of ``time.perf_counter``."""
        self._began = 0.0

    def start(self) -> None:
        gc.callbacks.append(self._told)

    def stop(self) -> None:
        gc.callbacks.remove(self._told)

    def _told(self, phase: str, _info: dict[str, Any]) -> None:
        now = perf_counter()
        if phase == "start":
            self._began = now
        else:
            self.timer.observe(now - self._began, now)

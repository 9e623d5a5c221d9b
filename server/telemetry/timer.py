"""How often something happened, how long it took in all, and the longest of late."""

from collections import deque

SLOT_SECONDS = 40.0

SLOTS = 3
"""The longest is that of so many slots, the running one among them: of the last 80 to 120 s, as Spring's timers have it."""


class Timer:
    """Is told each duration, and the time by any clock that never goes back."""

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        """Seconds."""
        self._longest: deque[tuple[int, float]] = deque(maxlen=SLOTS)
        """The slots in which something happened, and the longest in each."""

    def observe(self, seconds: float, now: float) -> None:
        self.count += 1
        self.total += seconds
        slot = int(now / SLOT_SECONDS)
        if not self._longest or self._longest[-1][0] != slot:
            self._longest.append((slot, seconds))
        elif seconds > self._longest[-1][1]:
            self._longest[-1] = slot, seconds

    def longest(self, now: float) -> float:
        """Seconds that the longest of the last two minutes took; 0 where there was none."""
        oldest = int(now / SLOT_SECONDS) - SLOTS + 1
        return max((seconds for slot, seconds in self._longest if slot >= oldest), default=0.0)

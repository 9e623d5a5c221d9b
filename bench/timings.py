"""Many durations of one thing."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Timings:
    """Durations in seconds, told as percentiles."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    @contextmanager
    def one(self) -> Iterator[None]:
        """Time what is done within."""
        begin = time.perf_counter()
        yield
        self.seconds.append(time.perf_counter() - begin)

    def percentile(self, percent: int) -> float:
        """For example 99: so many per cent took at most as long; in seconds."""
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[percent - 1]

    def milliseconds(self) -> list[str]:
        """The 50th and the 99th percentile, as cells of a table."""
        return [f"{self.percentile(percent) * 1e3:.2f} ms" for percent in (50, 99)]

    def microseconds(self) -> list[str]:
        """The 50th and the 99th percentile and the longest, as cells of a table."""
        shown = (self.percentile(50), self.percentile(99), max(self.seconds))
        return [f"{seconds * 1e6:.1f} µs" for seconds in shown]

"""The requests of the sidecar: how many, and how long they took to answer."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from itertools import accumulate
from time import perf_counter
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from server.telemetry.timer import Timer

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds. The alert on response times needs 0.5; an import may take 30."""

_BOUND_NAMES = (*(f"{bound:g}" for bound in BOUNDS), "+Inf")


class Request(NamedTuple):
    """What is told apart; each has a few values only, whatever clients send."""

    method: str
    route: str
    """The path with its placeholders, or ``none``."""

    status: str


class RequestTimes(Collector):
    """Is told each request once it was answered."""

    def __init__(self) -> None:
        self._by_request: dict[Request, _Answered] = {}

    def observe(self, request: Request, seconds: float) -> None:
        answered = self._by_request.get(request)
        if answered is None:
            answered = self._by_request[request] = _Answered()
        answered.observe(seconds, perf_counter())
        answered.buckets[bisect_left(BOUNDS, seconds)] += 1

    def timers(self) -> Mapping[Request, Timer]:
        """By the clock of ``time.perf_counter``."""
        return self._by_request

    def collect(self) -> Iterator[Metric]:
        """In pieces, one for each kind of request: see ``exposition``."""
        yield _histogram()
        for request, answered in self._by_request.items():
            histogram = _histogram()
            buckets = list(zip(_BOUND_NAMES, accumulate(answered.buckets), strict=True))
            histogram.add_metric(request, buckets, answered.total)
            yield histogram
        yield _counter()
        for request, answered in self._by_request.items():
            counter = _counter()
            counter.add_metric(request, answered.count)
            yield counter


class _Answered(Timer):
    def __init__(self) -> None:
        super().__init__()
        self.buckets = [0] * (len(BOUNDS) + 1)


def _histogram() -> HistogramMetricFamily:
    return HistogramMetricFamily(
        "http_request_duration_seconds",
        "Time to answer a request of the sidecar. Polls are not in it: see tracing_config_polls_total.",
        labels=Request._fields,
    )


def _counter() -> CounterMetricFamily:
    return CounterMetricFamily(
        "http_requests",
        "Requests of the sidecar. Polls are not in it: see tracing_config_polls_total.",
        labels=Request._fields,
    )

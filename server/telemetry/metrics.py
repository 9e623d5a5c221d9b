"""What Prometheus sees. Values are read from the parts at scrape time; no poll touches a label."""

import asyncio
from itertools import chain
from time import perf_counter
from typing import Self

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, disable_created_metrics
from prometheus_client.core import Metric

from server.answers import Answers
from server.daemon_call import daemon_call
from server.follower import Follower
from server.health import Health
from server.integrations.registration import Registration
from server.integrations.trace_cleanup import TraceCleanup
from server.served import Served
from server.sidecar.refusal import REASONS
from server.strategies_file import StrategiesFileWatch
from server.telemetry.dependency_metrics import DependencyMetrics
from server.telemetry.disk_metrics import DiskMetrics
from server.telemetry.exposition import exposition
from server.telemetry.file_metrics import FileMetrics
from server.telemetry.garbage_pauses import GarbagePauses
from server.telemetry.poll_metrics import PollMetrics
from server.telemetry.process import Process
from server.telemetry.process_limits import ProcessLimits
from server.telemetry.process_metrics import ProcessMetrics
from server.telemetry.request_times import RequestTimes
from server.telemetry.store_metrics import StoreMetrics
from storage.pacing import paced


class Metrics:
    """The registry of one process, and what is counted or measured for metrics only. Pauses are timed from entry to exit."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.process, self.limits, self.pauses = Process(), ProcessLimits(), GarbagePauses()
        self.requests = RequestTimes()
        self.registry.register(self.requests)
        self.authentication_failures = Counter(
            "tracing_config_authentication_failures",
            "Requests of the sidecar that were answered 401 or 403.",
            ["reason"],
            registry=self.registry,
        )
        self.refused_handshakes = Counter(
            "tracing_config_tls_refused",
            "TLS handshakes that failed, of polls or of the sidecar and the metrics port.",
            ["use"],
            registry=self.registry,
        )
        for reason in REASONS:  # All are there from the start, so that the first failure is an increase.
            self.authentication_failures.labels(reason)
        self._aside = (ProcessCollector(registry=None), ProcessMetrics(self.process, self.limits, self.pauses))
        self._turn = asyncio.Lock()
        self._text = b""
        self._begun = float("-inf")

    def __enter__(self) -> Self:
        self.pauses.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pauses.stop()

    def expose(
        self,
        *,
        answers: Answers,
        served: Served,
        follower: Follower,
        health: Health,
        strategies_file: StrategiesFileWatch | None = None,
        registration: Registration | None = None,
        cleanup: TraceCleanup | None = None,
    ) -> None:
        """Add the state of the parts."""
        for collector in (
            PollMetrics(answers, health),
            StoreMetrics(served, follower, health),
            FileMetrics(served, strategies_file, health),
            DependencyMetrics(health, registration, cleanup),
            DiskMetrics(health.disk_space),
        ):
            self.registry.register(collector)

    async def text(self, asked: float) -> bytes:
        """The exposition format, as things stand at ``asked`` (by ``time.perf_counter``) or later.

        Those who ask at once are told the same.
        """
        async with self._turn:
            if self._begun <= asked:
                begun = perf_counter()
                process = await daemon_call(self._of_process)  # The threads of the loop's executor may all hang, with a disk.
                self._text = await paced(exposition(chain(process, self.registry.collect())))
                self._begun = begun
            return self._text

    def _of_process(self) -> list[Metric]:
        """Reads files of the system. To count the open files of 10,000 connections takes 9 ms, nearly all of it there."""
        return [family for collector in self._aside for family in collector.collect()]

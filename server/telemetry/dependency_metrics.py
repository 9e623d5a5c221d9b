"""What Prometheus sees of the servers that this one works with, where settings name any."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.health import Health
from server.integrations.registration import Registration
from server.integrations.trace_cleanup import TraceCleanup


class DependencyMetrics(Collector):
    def __init__(self, health: Health, registration: Registration | None, cleanup: TraceCleanup | None) -> None:
        self._health, self._registration, self._cleanup = health, registration, cleanup

    def collect(self) -> Iterator[Metric]:
        if self._registration is not None:
            text = "1 while the service registry says that this replica is registered."
            yield GaugeMetricFamily("tracing_config_registered", text, self._registration.registered)
        if self._health.dependencies:
            yield from self._checks()
        if self._cleanup is not None:
            yield from _cleanup(self._cleanup)

    def _checks(self) -> Iterator[Metric]:
        label = ["dependency"]
        up = GaugeMetricFamily("tracing_config_dependency_up", "1 while it can be used.", labels=label)
        failures = CounterMetricFamily("tracing_config_dependency_failures", "Checks of it that failed.", labels=label)
        seconds = GaugeMetricFamily(
            "tracing_config_dependency_check_seconds", "What its last successful check took.", labels=label
        )
        for one in self._health.dependencies:
            up.add_metric([one.name], one.up)
            failures.add_metric([one.name], one.failures)
            if one.latency is not None:
                seconds.add_metric([one.name], one.latency)
        yield from (up, failures, seconds)


def _cleanup(cleanup: TraceCleanup) -> Iterator[Metric]:
    yield CounterMetricFamily("tracing_config_trace_indices_removed", "Old trace indices that were removed.", cleanup.removed)
    yield CounterMetricFamily(
        "tracing_config_trace_cleanup_failures",
        "Cleanups of old traces that could not do all they should.",
        cleanup.failures,
    )
    if cleanup.succeeded_at is not None:
        yield GaugeMetricFamily(
            "tracing_config_trace_cleanup_last_success_timestamp_seconds",
            "When a cleanup of this replica last ended without a failure.",
            cleanup.succeeded_at,
        )

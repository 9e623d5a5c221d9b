"""What Prometheus sees. Values are read from the parts at scrape time; no poll touches a label."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.answers import Answers
from server.follower import Follower
from server.health import Health
from server.integrations.registration import Registration
from server.integrations.trace_cleanup import TraceCleanup
from server.served import Served
from server.sidecar.refusal import REASONS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The registry of one process, and the metrics that requests of the sidecar write themselves."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.request_seconds = Histogram(
            "http_request_duration_seconds",
            "Time to answer a request of the sidecar (polls are counted by tracing_config_polls_total).",
            ["method", "route"],
            registry=self.registry,
        )
        self.requests = Counter(
            "http_requests", "Requests of the sidecar.", ["method", "route", "status"], registry=self.registry
        )
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

    def expose(
        self,
        *,
        answers: Answers,
        served: Served,
        follower: Follower,
        health: Health,
        redis: bool,
        registration: Registration | None = None,
        cleanup: TraceCleanup | None = None,
    ) -> None:
        """Add the state of the parts."""
        self.registry.register(_State(answers, served, follower, health, redis=redis, registration=registration))
        if cleanup is not None:
            self.registry.register(_Cleanup(cleanup))

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


class _State(Collector):
    def __init__(
        self,
        answers: Answers,
        served: Served,
        follower: Follower,
        health: Health,
        *,
        redis: bool,
        registration: Registration | None,
    ) -> None:
        self._answers, self._served, self._follower = answers, served, follower
        self._health, self._redis, self._registration = health, redis, registration

    def collect(self) -> Iterator[Metric]:
        polls = CounterMetricFamily("tracing_config_polls", "Polls by protocol and outcome.", labels=["protocol", "outcome"])
        for labels, count in self._answers.polls().items():
            polls.add_metric(labels, count)
        yield polls
        served, follower, file = self._served, self._follower, self._served.catalog.file
        revision = served.point.revision if served.point is not None else -1
        yield _gauge("tracing_config_revision", "The served revision; -1 before the first.", revision)
        yield _gauge(
            "tracing_config_staleness_seconds",
            "Since the served revision was last seen to be the newest.",
            follower.staleness,
        )
        yield _gauge("tracing_config_services", "Services with a record.", len(served.catalog.records("service")))
        yield _gauge("tracing_config_clock_offset_seconds", "The store's clock ahead of ours.", follower.store.clock_offset)
        yield _gauge("tracing_config_ready", "1 while polls are answered.", self._health.ready)
        yield _gauge("db_up", "1 while the store answers.", self._health.database_up)
        if self._redis:
            yield _gauge("redis_up", "1 while Redis answers.", self._health.redis_up)
        if self._registration is not None:
            text = "1 while the service registry says that this replica is registered."
            yield _gauge("tracing_config_registered", text, self._registration.registered)
        if self._health.certificates:
            expiry = GaugeMetricFamily(
                "tracing_config_certificate_expiry_timestamp_seconds",
                "Until when the certificate that is shown can be used.",
                labels=["use"],
            )
            for certificate in self._health.certificates:
                expiry.add_metric([certificate.use], certificate.leaf.not_after.timestamp())
            yield expiry
        yield from self._dependencies()
        yield CounterMetricFamily(
            "tracing_config_histories_lost",
            "Times that the store lacked a served commit.",
            value=follower.histories_lost,
        )
        yield CounterMetricFamily(
            "tracing_config_content_mismatches",
            "Loads and changes that missed their checksum and were not taken.",
            value=follower.mismatches,
        )
        info = GaugeMetricFamily(
            "tracing_config_strategies_file_info",
            "The strategies file that is served, by its sha256.",
            labels=["sha256"],
        )
        info.add_metric([file.sha256], 1)
        yield info
        yield _gauge("tracing_config_strategies_file_services", "Services in the strategies file.", len(file.services))

    def _dependencies(self) -> Iterator[Metric]:
        if not self._health.dependencies:
            return
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


class _Cleanup(Collector):
    def __init__(self, cleanup: TraceCleanup) -> None:
        self._cleanup = cleanup

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "tracing_config_trace_indices_removed", "Old trace indices that were removed.", value=self._cleanup.removed
        )
        yield CounterMetricFamily(
            "tracing_config_trace_cleanup_failures",
            "Cleanups of old traces that could not do all they should.",
            value=self._cleanup.failures,
        )
        if self._cleanup.succeeded_at is not None:
            yield _gauge(
                "tracing_config_trace_cleanup_last_success_timestamp_seconds",
                "When a cleanup of this replica last ended without a failure.",
                self._cleanup.succeeded_at,
            )


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)

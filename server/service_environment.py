"""What a service needs at its start to be sampled by this server and to send its spans: OpenTelemetry's variables."""

from collections.abc import Mapping
from typing import NamedTuple

from sampling.export_configuration import OTLP_PATH, ZIPKIN_PATH, ExportConfiguration, Exporter
from sampling.strategy import FALLBACK_PROBABILITY, SamplingStrategy
from server.settings import PREFIX, Settings

POLLING_INTERVAL_MS = 60_000
"""What SDKs do by themselves."""

_UNNAMED = Exporter(enabled=False)


class ServiceEnvironment(NamedTuple):
    """The variables in the order in which they are shown, and what somebody should know of them."""

    variables: Mapping[str, str]
    warnings: list[str]


def service_environment(
    service: str, strategy: SamplingStrategy, exports: ExportConfiguration | None, poll_url: str, settings: Settings
) -> ServiceEnvironment:
    """Compose it.

    Args:
        strategy: what the service gets now; a probability holds until its first poll too.
        exports: what its record says; None: nothing, so that it sends spans to every target of the platform.
        poll_url: of a poll port that answers gRPC.
    """
    initial = strategy.param if strategy.type == "probabilistic" else FALLBACK_PROBABILITY
    variables = {
        "OTEL_SERVICE_NAME": service,
        "OTEL_TRACES_SAMPLER": "parentbased_jaeger_remote",
        "OTEL_TRACES_SAMPLER_ARG": f"endpoint={poll_url},pollingIntervalMs={POLLING_INTERVAL_MS},"
        f"initialSamplingRate={initial!r}",
    }
    exporters, targets, warnings = [], {}, []
    jaeger, warning = _target("jaeger", settings.jaeger_url, exports)
    if jaeger is not None:
        exporters.append("otlp")
        # Those of traces alone: the general ones would take along the metrics and logs of the service.
        targets["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = jaeger + OTLP_PATH
        targets["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] = "http/protobuf"
    warnings += warning
    zipkin, warning = _target("zipkin", settings.zipkin_url, exports)
    if zipkin is not None:
        exporters.append("zipkin")
        targets["OTEL_EXPORTER_ZIPKIN_ENDPOINT"] = zipkin + ZIPKIN_PATH
    warnings += warning
    if not exporters and exports is None:
        cure = f"set {PREFIX}JAEGER_URL or {PREFIX}ZIPKIN_URL, or exportConfig in the record of the service"
        warnings.append(f"its spans go nowhere: {cure}")
    variables["OTEL_TRACES_EXPORTER"] = ",".join(exporters) or "none"
    return ServiceEnvironment({**variables, **targets}, warnings)


def _target(name: str, platform: str | None, exports: ExportConfiguration | None) -> tuple[str | None, list[str]]:
    """Where the spans go for one backend, if anywhere."""
    if exports is None:
        return platform, []
    exporter: Exporter = getattr(exports, name) or _UNNAMED
    if not exporter.enabled:
        return None, []
    endpoint = exporter.endpoint or platform
    if endpoint is None:
        cure = f"set {PREFIX}{name.upper()}_URL, or exportConfig.{name}.endpoint in the record of the service"
        return None, [f"exportConfig.{name} is enabled but has no endpoint, so it is left out: {cure}"]
    return endpoint, []

"""Which variables a service is told, from its record and the platform's settings."""

import pytest

from sampling.export_configuration import ExportConfiguration, Exporter
from sampling.strategy import SamplingStrategy
from server.service_environment import ServiceEnvironment, service_environment
from server.settings import Settings

HALF = SamplingStrategy("probabilistic", 0.5)
ON, OFF = Exporter(enabled=True), Exporter(enabled=False)
OWN = Exporter(enabled=True, endpoint="http://own:1/x")
NOTHING, BOTH = Settings(), Settings(jaeger_url="http://jaeger:4318", zipkin_url="http://zipkin:9411")
JAEGER = Settings(jaeger_url="http://jaeger:4318")

OTLP = {
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://jaeger:4318/v1/traces",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
}
ZIPKIN = {"OTEL_EXPORTER_ZIPKIN_ENDPOINT": "http://zipkin:9411/api/v2/spans"}


def environment(exports: ExportConfiguration | None, settings: Settings) -> ServiceEnvironment:
    return service_environment("checkout", HALF, exports, "http://here:14250", settings)


@pytest.mark.parametrize(
    ("exports", "settings", "exporters", "targets"),
    [
        (None, BOTH, "otlp,zipkin", {**OTLP, **ZIPKIN}),
        (None, JAEGER, "otlp", OTLP),
        (ExportConfiguration(ON, ON), BOTH, "otlp,zipkin", {**OTLP, **ZIPKIN}),
        (ExportConfiguration(jaeger=ON), BOTH, "otlp", OTLP),
        (ExportConfiguration(OFF, ON), BOTH, "zipkin", ZIPKIN),
        (ExportConfiguration(OFF, OFF), BOTH, "none", {}),
        (ExportConfiguration(), BOTH, "none", {}),
        (ExportConfiguration(Exporter(enabled=False, endpoint="http://own:1")), BOTH, "none", {}),
        (ExportConfiguration(zipkin=OWN), BOTH, "zipkin", {"OTEL_EXPORTER_ZIPKIN_ENDPOINT": "http://own:1/x/api/v2/spans"}),
        (ExportConfiguration(OWN), NOTHING, "otlp", {**OTLP, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://own:1/x/v1/traces"}),
    ],
)
def test_a_service_exports_to_what_its_record_enables_else_to_every_target(
    exports: ExportConfiguration | None, settings: Settings, exporters: str, targets: dict[str, str]
) -> None:
    found = environment(exports, settings)
    assert found.warnings == []
    assert found.variables == {
        "OTEL_SERVICE_NAME": "checkout",
        "OTEL_TRACES_SAMPLER": "parentbased_jaeger_remote",
        "OTEL_TRACES_SAMPLER_ARG": "endpoint=http://here:14250,pollingIntervalMs=60000,initialSamplingRate=0.5",
        "OTEL_TRACES_EXPORTER": exporters,
        **targets,
    }


def test_an_exporter_without_an_endpoint_is_left_out_and_told() -> None:
    variables, (warning,) = environment(ExportConfiguration(ON, ON), JAEGER)
    assert variables["OTEL_TRACES_EXPORTER"] == "otlp"
    assert "OTEL_EXPORTER_ZIPKIN_ENDPOINT" not in variables
    assert "TRACING_CONFIG_ZIPKIN_URL" in warning
    assert "exportConfig.zipkin.endpoint" in warning


def test_that_nothing_says_where_spans_go_is_told() -> None:
    variables, (warning,) = environment(None, NOTHING)
    assert variables["OTEL_TRACES_EXPORTER"] == "none"
    assert "TRACING_CONFIG_JAEGER_URL" in warning


@pytest.mark.parametrize(("rate", "told"), [(1, "1.0"), (0, "0.0"), (1e-7, "1e-07")])
def test_a_probability_holds_from_the_first_span_on(rate: float, told: str) -> None:
    strategy = SamplingStrategy("probabilistic", rate)
    variables, _ = service_environment("checkout", strategy, None, "http://here:14250", BOTH)
    assert variables["OTEL_TRACES_SAMPLER_ARG"].endswith(f",initialSamplingRate={told}")


def test_a_rate_limit_begins_with_the_usual_probability() -> None:
    variables, _ = service_environment("checkout", SamplingStrategy("ratelimiting", 5), None, "http://here:14250", BOTH)
    assert variables["OTEL_TRACES_SAMPLER_ARG"].endswith(",initialSamplingRate=0.001")

"""When this server sends spans of its own, where, and what keeps it from starting."""

import os
from collections.abc import Mapping

import pytest

from server.setting_reader import SettingError
from server.settings import examine_settings, read_settings
from server.span_settings import SpanSettings

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


def read(environment: Mapping[str, str]) -> SpanSettings:
    spans = read_settings(environment).spans
    assert spans is not None
    return spans


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://collector:4318"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "True"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"},
        # Meant for others, on a machine where all services are told them.
        {"OTEL_TRACES_SAMPLER": "parentbased_jaeger_remote", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none", "OTEL_TRACES_SAMPLER": "parentbased_jaeger_remote"},
    ],
)
def test_no_span_is_sent(environment: Mapping[str, str]) -> None:
    assert read_settings(environment).spans is None


@pytest.mark.parametrize(
    ("environment", "target"),
    [
        (ENDPOINT, "http://collector:4318"),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "false"}, "http://collector:4318"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector/v1/traces"}, "https://collector/v1/traces"),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces/x"}, "http://traces/x"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "http://localhost:4318"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, "http://localhost:4317"),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "console"}, "standard output"),
    ],
)
def test_spans_are_sent(environment: Mapping[str, str], target: str) -> None:
    assert read(environment).target == target


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_EXPORTER", "otlp,console"),
        ("OTEL_SDK_DISABLED", "yes"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://user:hunter2@collector"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector/v1/traces?key=hunter2"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=hunter2"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "authorization=hunter2%0A"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=%20hunter2"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "deflate"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/none.pem"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", os.devnull),
        ("OTEL_SERVICE_NAME", "a\nb"),
        ("OTEL_RESOURCE_ATTRIBUTES", "pod"),
        ("OTEL_RESOURCE_ATTRIBUTES", "=pod"),
        ("OTEL_TRACES_SAMPLER", "parentbased_jaeger_remote"),
        ("OTEL_PROPAGATORS", "tracecontext,b3"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line_without_a_secret(name: str, value: str) -> None:
    with pytest.raises(SettingError) as error:
        read_settings({**ENDPOINT, name: value})
    assert str(error.value).startswith(f"{name}: ")
    assert "\n" not in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("argument", ["2", "half", "nan"])
def test_the_argument_of_a_sampler_counts_for_those_that_take_it(argument: str) -> None:
    given = {**ENDPOINT, "OTEL_TRACES_SAMPLER_ARG": argument}
    read({**given, "OTEL_TRACES_SAMPLER": "always_on"})
    with pytest.raises(SettingError, match="OTEL_TRACES_SAMPLER_ARG"):
        read({**given, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio"})


def test_all_that_is_wrong_is_found() -> None:
    bad = {"OTEL_TRACES_SAMPLER": "some", "OTEL_BSP_SCHEDULE_DELAY": "x", "TRACING_CONFIG_SIDECAR_PORT": "x"}
    _, refused = examine_settings({**ENDPOINT, **bad})
    assert {str(error).partition(":")[0] for error in refused.values()} == bad.keys()


def test_the_variable_for_traces_stands_above_the_one_for_all_that_is_exported() -> None:
    spans = read({**ENDPOINT, "OTEL_EXPORTER_OTLP_TIMEOUT": "1000", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "2000"})
    assert spans.of_exporter("TIMEOUT") == "2000"
    assert spans.of_exporter("PROTOCOL") == "http/protobuf"


def test_the_sdk_gets_what_was_checked_without_what_it_takes_for_something_else() -> None:
    spans = read({**ENDPOINT, "OTEL_EXPORTER_OTLP_TIMEOUT": "10000", "OTEL_EXPORTER_OTLP_COMPRESSION": "none"})
    assert spans.environment() == {**ENDPOINT, "OTEL_SERVICE_NAME": "tracing-config"}
    compressed = read({**ENDPOINT, "OTEL_EXPORTER_OTLP_COMPRESSION": "none", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "gzip"})
    assert compressed.environment()["OTEL_EXPORTER_OTLP_COMPRESSION"] == "gzip"
    named = read({**ENDPOINT, "OTEL_RESOURCE_ATTRIBUTES": "service.name=mine,a=b"})
    assert "OTEL_SERVICE_NAME" not in named.environment()

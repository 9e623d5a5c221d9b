"""Whether and where this server sends spans of its own: variables of OpenTelemetry's specification, under its names."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from server import setting_values as values_of
from server.setting_reader import Reader
from storage.regular_file import open_regular

RATIO_SAMPLERS = ("traceidratio", "parentbased_traceidratio")

_OTLP = "OTEL_EXPORTER_OTLP_"
_TRACES = "OTEL_EXPORTER_OTLP_TRACES_"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Variable(NamedTuple):
    """One of them: how its text is checked, and what counts where it is not set."""

    check: Callable[[str], object]
    default: str = ""


class SpanSettings(msgspec.Struct, frozen=True):
    """The variables that are set and can be used, by their names. Every other one has the default of ``VARIABLES``."""

    given: Mapping[str, str]

    def text(self, name: str) -> str:
        """What a variable says."""
        return self.given.get(name) or VARIABLES[name].default

    def of_exporter(self, name: str) -> str:
        """What the variable for traces says, ``ENDPOINT`` for example, or else the one for all that is exported."""
        return self.given.get(_TRACES + name) or self.text(_OTLP + name)

    @property
    def target(self) -> str:
        """Where the spans go."""
        if self.text("OTEL_TRACES_EXPORTER") == "console":
            return "standard output"
        return self.of_exporter("ENDPOINT") or f"http://localhost:{4317 if self.of_exporter('PROTOCOL') == 'grpc' else 4318}"

    def environment(self) -> Mapping[str, str]:
        """For the SDK. Without what its exporters understand otherwise than the specification: times and no compression."""
        understood = {name: text for name, text in self.given.items() if not name.endswith(("_TIMEOUT", "_COMPRESSION"))}
        if self.of_exporter("COMPRESSION") != "none":
            understood[f"{_OTLP}COMPRESSION"] = self.of_exporter("COMPRESSION")
        if "service.name=" not in self.text("OTEL_RESOURCE_ATTRIBUTES"):
            understood["OTEL_SERVICE_NAME"] = self.text("OTEL_SERVICE_NAME")
        return understood


def read_span_settings(read: Reader) -> SpanSettings | None:
    """None where no span is sent; then the other variables are not even looked at: they may be meant for others."""
    given: dict[str, str] = {}

    def take(name: str) -> str:
        def parse(text: str) -> str:
            VARIABLES[name].check(text)
            return text

        if text := read.value(name, parse, "", prefix=""):
            given[name] = text
        return text

    if take("OTEL_SDK_DISABLED").lower() == "true":
        return None
    exporter = take("OTEL_TRACES_EXPORTER")
    endpoints = [take(f"{prefix}ENDPOINT") for prefix in (_OTLP, _TRACES) if exporter not in ("none", "console")]
    if exporter not in ("otlp", "console") and not any(endpoints):
        return None
    sampler = take("OTEL_TRACES_SAMPLER")
    for name in VARIABLES:
        if name not in given and (name != "OTEL_TRACES_SAMPLER_ARG" or sampler in RATIO_SAMPLERS):
            take(name)
    return SpanSettings(given)


def _endpoint(text: str) -> str:
    if "@" in text:
        raise ValueError(f"must hold no user and no password; {_OTLP}HEADERS can hold a header for that")
    return values_of.http_url(text)


def _ratio(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ValueError(f"{text!r} is not a number from 0 to 1")
    return number


def _pairs(text: str, kind: str) -> list[tuple[str, str]]:
    """Names and values; a value may be a secret, and is not part of a problem."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        raise ValueError(f"must be {kind} like name=value, between commas, percent-encoded where they are special")
    return [(name.strip(), unquote(value.strip())) for name, _, value in pairs]


def _headers(text: str) -> None:
    for name, value in _pairs(text, "headers"):
        if not _HEADER_NAME.fullmatch(name) or not value.isascii() or not value.isprintable() or value != value.strip():
            raise ValueError("has a header that no request can have; values must be printable ASCII, percent-encoded")


def _file(text: str) -> None:
    try:
        with open_regular(Path(text)):
            pass
    except OSError as error:
        raise ValueError(f"cannot read {text}: {error.strerror}") from None


def _propagators(text: str) -> None:
    for name in text.split(","):
        values_of.one_of("tracecontext", "baggage", "none")(name.strip())


_EXPORTER: Mapping[str, Variable] = {
    "ENDPOINT": Variable(_endpoint),
    "PROTOCOL": Variable(values_of.one_of("http/protobuf", "grpc"), "http/protobuf"),
    "HEADERS": Variable(_headers),
    "TIMEOUT": Variable(values_of.number_of("milliseconds", 100, 600_000), "10000"),
    "COMPRESSION": Variable(values_of.one_of("none", "gzip"), "none"),
    "CERTIFICATE": Variable(_file),
}

VARIABLES: Mapping[str, Variable] = {
    "OTEL_SDK_DISABLED": Variable(lambda text: values_of.one_of("true", "false")(text.lower()), "false"),
    "OTEL_TRACES_EXPORTER": Variable(values_of.one_of("otlp", "console", "none")),
    **{_OTLP + name: variable for name, variable in _EXPORTER.items()},
    **{_TRACES + name: Variable(variable.check) for name, variable in _EXPORTER.items()},
    "OTEL_SERVICE_NAME": Variable(values_of.claim, "tracing-config"),
    "OTEL_RESOURCE_ATTRIBUTES": Variable(lambda text: _pairs(text, "attributes")),
    "OTEL_TRACES_SAMPLER": Variable(
        values_of.one_of("always_on", "always_off", "parentbased_always_on", "parentbased_always_off", *RATIO_SAMPLERS),
        "parentbased_always_on",
    ),
    "OTEL_TRACES_SAMPLER_ARG": Variable(_ratio, "1.0"),
    "OTEL_PROPAGATORS": Variable(_propagators, "tracecontext"),
    "OTEL_BSP_SCHEDULE_DELAY": Variable(values_of.number_of("milliseconds", 1, 3_600_000), "5000"),
    "OTEL_BSP_MAX_QUEUE_SIZE": Variable(values_of.number_of("spans", 1, 100_000), "2048"),
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": Variable(values_of.number_of("spans", 1, 100_000), "64"),
}
"""All that count, and no others."""

SECRETS = (f"{_OTLP}HEADERS", f"{_TRACES}HEADERS")

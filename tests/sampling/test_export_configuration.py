"""What a record may say about where a service sends its spans."""

import json

import pytest

from sampling.export_configuration import ExportConfiguration, Exporter
from sampling.records import ServiceConfiguration, decode_record, encode_record


def with_endpoint(endpoint: str) -> bytes:
    return json.dumps({"exportConfig": {"jaeger": {"enabled": True, "endpoint": endpoint}}}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b'{"exportConfig":{"jaeger":{"enabled":true},"zipkin":{"enabled":true}}}',
        b'{"exportConfig":{"jaeger":{"enabled":false}},"enabled":false}',
        b'{"exportConfig":{}}',
    ],
)
def test_what_was_stored_before_endpoints_came_keeps_its_bytes(body: bytes) -> None:
    assert encode_record(decode_record(ServiceConfiguration, body)) == body


def test_an_endpoint_is_kept_in_one_spelling() -> None:
    for endpoint in ("http://jaeger:4318", "http://jaeger:4318/", "http://jaeger:4318//"):
        record = decode_record(ServiceConfiguration, with_endpoint(endpoint))
        assert record.export_config == ExportConfiguration(jaeger=Exporter(enabled=True, endpoint="http://jaeger:4318"))
        assert encode_record(record) == b'{"exportConfig":{"jaeger":{"enabled":true,"endpoint":"http://jaeger:4318"}}}'


@pytest.mark.parametrize(
    "endpoint", ["https://[2001:db8::1]:4318", "http://a", "https://gateway.example.org/otlp/v1", "http://a_b:1"]
)
def test_an_endpoint_is_any_address_of_http(endpoint: str) -> None:
    assert Exporter(enabled=True, endpoint=endpoint).endpoint == endpoint


NO_URLS = [
    "",
    "jaeger:4318",
    "ftp://jaeger",
    "HTTP://jaeger",
    "http://",
    "http:///x",
    "http://[::1",
    "http://[::::]",
    "http://ü",
    "http://a\nOTEL_X=y",
]
NO_URLS += [
    f"http://jaeger{rest}"
    for rest in ("?a=b", "#a", ":0", ":65536", ":x", " x", "/\n", "/ü", "/$(x)", "/'", "/a b", "/%zz", "/%")
]


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        *((url, "must be like http://") for url in NO_URLS),
        ("http://user:secret@jaeger", "no user and no password"),
        ("http://jaeger:4318/v1/traces", "must not end in /v1/traces"),
        ("http://zipkin:9411/api/v2/spans/", "must not end in /api/v2/spans"),
        ("http://" + "a" * 2042, "length <= 2048"),
    ],
)
def test_any_other_endpoint_is_refused_with_its_field_and_the_cure(endpoint: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"exportConfig\.jaeger") as refused:
        decode_record(ServiceConfiguration, with_endpoint(endpoint))
    assert said in str(refused.value)
    assert "endpoint" in str(refused.value)
    assert "secret" not in str(refused.value)

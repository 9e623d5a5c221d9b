"""What ``/actuator/configprops`` shows of a setting: everything but what is secret."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.settings import Settings, read_settings
from server.sidecar.configprops import MASK, masked_address, properties_of


def test_every_setting_is_shown_by_the_name_of_its_variable() -> None:
    shown = properties_of(Settings())
    assert len(shown) == len(Settings.__struct_fields__) - len({"sources", "spans"})
    assert all(name.startswith("TRACING_CONFIG_") for name in shown if name != "LOG_LEVEL")
    assert shown["TRACING_CONFIG_GRPC_PORTS"].value == [14250, 5779]
    assert {each.origin for each in shown.values()} == {"default"}


def test_what_says_where_spans_go_is_shown_while_they_go_there() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    settings = read_settings({**endpoint, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=hunter2"})
    shown = properties_of(settings)
    assert shown["OTEL_EXPORTER_OTLP_ENDPOINT"].value == "http://collector:4318"
    assert (shown["OTEL_EXPORTER_OTLP_HEADERS"].value, shown["OTEL_EXPORTER_OTLP_HEADERS"].origin) == (MASK, "environment")
    assert (shown["OTEL_SERVICE_NAME"].value, shown["OTEL_SERVICE_NAME"].origin) == ("tracing-config", "default")
    off = properties_of(read_settings({**endpoint, "OTEL_SDK_DISABLED": "true"}))
    assert off == properties_of(Settings())


def test_secrets_are_masked_wherever_they_came_from(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"hunter2{'x' * 40}")
    settings = read_settings(
        {
            "TRACING_CONFIG_ADMIN_TOKEN_FILE": str(file),
            "TRACING_CONFIG_JWT_SECRETS": f"{file.read_text()},another-{file.read_text()}",
            "TRACING_CONFIG_DATABASE_URL": "postgresql://user:hunter2@host:5432/db?sslpassword=hunter2",
            "TRACING_CONFIG_REDIS_URL": "rediss://:hunter2@host",
        }
    )
    shown = properties_of(settings)
    assert "hunter2" not in msgspec.json.encode(shown).decode()
    values = [shown[f"TRACING_CONFIG_{name}"].value for name in ("ADMIN_TOKEN", "JWT_SECRETS", "DATABASE_URL", "REDIS_URL")]
    assert values == [MASK, MASK, "postgresql://******@host:5432/db?******", "rediss://******@host"]
    assert (shown["TRACING_CONFIG_ADMIN_TOKEN"].origin, shown["TRACING_CONFIG_ADMIN_TOKEN"].file) == ("file", str(file))
    assert shown["TRACING_CONFIG_JWT_SECRETS"].origin == "environment"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://host/db", "postgresql://host/db"),
        ("postgresql://user@one:1,two:2/db", "postgresql://******@one:1,two:2/db"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("postgresql:///db?host=/run&user=x", "postgresql:///db?******"),
    ],
)
def test_an_address_is_shown_as_far_as_it_is_no_secret(address: str, shown: str) -> None:
    assert masked_address(address) == shown


@given(password=st.text(st.sampled_from("ab:@/?#%[]&=\n"), max_size=12))
def test_no_password_shows_whatever_is_in_it(password: str) -> None:
    secret = f"S3{password}3S"
    for address in (
        f"postgresql://user:{secret}@host/db",
        f"redis://:{secret}@host",
        f"postgresql:///db?user=x&password={secret}",
        f"postgresql://user:{secret}@host/db?a=b@c",
        f"postgresql://host/db;password={secret}",
    ):
        shown = json.dumps(masked_address(address))
        assert "S3" not in shown
        assert "3S" not in shown

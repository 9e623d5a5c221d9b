"""Settings: defaults that just work, and errors that name the variable and the cure."""

import re
from pathlib import Path

import pytest

from server.settings import PREFIX, SettingError, Settings, read_settings


def test_nothing_set_is_sqlite_on_loopback_with_the_known_ports() -> None:
    settings = read_settings({})
    assert settings == Settings()
    assert (settings.host, settings.database_url, settings.redis_url) == ("127.0.0.1", None, None)
    assert (settings.grpc_ports, settings.http_ports) == ((14250, 5779), (5778,))
    assert (settings.sidecar_port, settings.metrics_port) == (8093, 9090)


def test_every_value_is_read() -> None:
    settings = read_settings(
        {
            "TRACING_CONFIG_HOST": "0.0.0.0",
            "TRACING_CONFIG_GRPC_PORTS": "1, 2",
            "TRACING_CONFIG_HTTP_PORTS": "3",
            "TRACING_CONFIG_DATA_DIR": "/data",
            "TRACING_CONFIG_DATABASE_URL": "postgresql://host/db",
            "TRACING_CONFIG_DATABASE_POOL_MAX": "20",
            "TRACING_CONFIG_REDIS_URL": "rediss://host",
            "TRACING_CONFIG_ADMIN_TOKEN": "0123456789abcdef",
            "TRACING_CONFIG_DRAIN_SECONDS": "2.5",
            "TRACING_CONFIG_POLL_SERVER": "grpcio",
            "LOG_LEVEL": "debug",
        }
    )
    assert settings.grpc_ports == (1, 2)
    assert settings.data_dir == Path("/data")
    assert settings.database_pool_max == 20
    assert (settings.drain_seconds, settings.poll_server, settings.log_level) == (2.5, "grpcio", "DEBUG")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TRACING_CONFIG_GRPC_PORTS", "x"),
        ("TRACING_CONFIG_GRPC_PORTS", "1,,2"),
        ("TRACING_CONFIG_HTTP_PORTS", "65536"),
        ("TRACING_CONFIG_SIDECAR_PORT", "-1"),
        ("TRACING_CONFIG_SIDECAR_PORT", "9090"),
        ("TRACING_CONFIG_METRICS_PORT", "²"),
        ("TRACING_CONFIG_DATABASE_URL", "mysql://host"),
        ("TRACING_CONFIG_DATABASE_POOL_MIN", "11"),
        ("TRACING_CONFIG_DATABASE_POOL_MAX", "0"),
        ("TRACING_CONFIG_REDIS_URL", "http://host"),
        ("TRACING_CONFIG_POLL_SERVER", "nginx"),
        ("TRACING_CONFIG_ADMIN_TOKEN", "short"),
        ("TRACING_CONFIG_ADMIN_TOKEN_FILE", "/nowhere"),
        ("TRACING_CONFIG_DRAIN_SECONDS", "nan"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_value_names_its_variable_in_one_line(variable: str, value: str) -> None:
    with pytest.raises(SettingError) as error:
        read_settings({variable: value})
    assert variable in str(error.value) or variable.replace("SIDECAR", "METRICS") in str(error.value)
    assert "\n" not in str(error.value)


def test_postgresql_needs_an_admin_token_because_replicas_share_it() -> None:
    with pytest.raises(SettingError, match="TRACING_CONFIG_ADMIN_TOKEN: is required"):
        read_settings({"TRACING_CONFIG_DATABASE_URL": "postgresql://host/db"})


def test_a_secret_can_come_from_a_file_but_not_from_both(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    given = {"TRACING_CONFIG_ADMIN_TOKEN_FILE": str(file)}
    assert read_settings(given).admin_token == "0123456789abcdef"
    with pytest.raises(SettingError, match="remove one"):
        read_settings({**given, "TRACING_CONFIG_ADMIN_TOKEN": "fedcba9876543210"})


def test_a_bad_secret_is_not_repeated_in_the_error(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("mysql://user:hunter2@host")
    for given in ({"TRACING_CONFIG_DATABASE_URL_FILE": str(file)}, {"TRACING_CONFIG_DATABASE_URL": file.read_text()}):
        with pytest.raises(SettingError) as error:
            read_settings(given)
        assert "hunter2" not in str(error.value)


def test_variables_that_kubernetes_injects_are_ignored() -> None:
    assert (
        read_settings({"TRACING_CONFIG_PORT": "tcp://10.0.0.1:8093", "TRACING_CONFIG_SERVICE_HOST": "10.0.0.1"}) == Settings()
    )


def test_the_example_documents_exactly_the_settings_with_their_defaults() -> None:
    text = (Path(__file__).parents[2] / "deploy" / "example.env").read_text()
    documented = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text, re.MULTILINE))
    names = {name.upper() if name == "log_level" else PREFIX + name.upper() for name in Settings.__struct_fields__}
    assert set(documented) == names
    assert read_settings({name: value for name, value in documented.items() if value and "<" not in value}) == Settings()

"""Settings: defaults that just work, and errors that name the variable and the cure."""

import re
from pathlib import Path

import pytest

from server.setting_reader import SettingError, Source
from server.settings import PREFIX, Settings, examine_settings, read_settings
from server.span_settings import VARIABLES

SECRETS = f"{'a' * 32},{'b' * 40}"


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
            "TRACING_CONFIG_TOKENS_FILE": "/tokens.json",
            "TRACING_CONFIG_JWT_SECRETS": f" {SECRETS.replace(',', ' , ')} ",
            "TRACING_CONFIG_JWT_ISSUER": "https://issuer",
            "TRACING_CONFIG_JWT_AUDIENCE": "tracing-config",
            "TRACING_CONFIG_TRUSTED_PROXIES": "2",
            "TRACING_CONFIG_IMPORT_MAX_BYTES": "1048576",
            "TRACING_CONFIG_DRAIN_SECONDS": "2.5",
            "TRACING_CONFIG_POLL_SERVER": "grpcio",
            "LOG_LEVEL": "debug",
        }
    )
    assert settings.grpc_ports == (1, 2)
    assert settings.data_dir == Path("/data")
    assert settings.database_pool_max == 20
    assert settings.tokens_file == Path("/tokens.json")
    assert settings.jwt_secrets == tuple(SECRETS.split(","))
    assert (settings.jwt_issuer, settings.jwt_audience) == ("https://issuer", "tracing-config")
    assert (settings.trusted_proxies, settings.import_max_bytes) == (2, 1048576)
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
        ("TRACING_CONFIG_POLL_URL", "http://host:14250,pollingIntervalMs=1"),
        ("TRACING_CONFIG_POLL_URL", "http://host/?a=b"),
        ("TRACING_CONFIG_JAEGER_URL", "http://user:secret@host"),
        ("TRACING_CONFIG_JAEGER_URL", "http://host:4318/v1/traces"),
        ("TRACING_CONFIG_ZIPKIN_URL", "http://host:9411/api/v2/spans/"),
        ("TRACING_CONFIG_DATABASE_POOL_MIN", "11"),
        ("TRACING_CONFIG_DATABASE_POOL_MAX", "0"),
        ("TRACING_CONFIG_REDIS_URL", "http://host"),
        ("TRACING_CONFIG_POLL_SERVER", "nginx"),
        ("TRACING_CONFIG_ADMIN_TOKEN", "short"),
        ("TRACING_CONFIG_ADMIN_TOKEN_FILE", "/nowhere"),
        ("TRACING_CONFIG_ADMIN_TOKEN", "x" * 2000),
        ("TRACING_CONFIG_JWT_SECRETS", "a" * 31),
        ("TRACING_CONFIG_JWT_SECRETS", f"{'a' * 32},"),
        ("TRACING_CONFIG_JWT_SECRETS", f"{'a' * 32},{'b' * 31}"),
        ("TRACING_CONFIG_JWT_SECRETS", f"{'a' * 32},{'a' * 32}"),
        ("TRACING_CONFIG_JWT_SECRETS", f"{'a' * 32}\n{'b' * 32}"),
        ("TRACING_CONFIG_JWT_SECRETS", f"ssh-rsa {'a' * 32}"),
        ("TRACING_CONFIG_JWT_SECRETS", ",".join(f"{number:032}" for number in range(11))),
        ("TRACING_CONFIG_JWT_SECRETS_FILE", "/nowhere"),
        ("TRACING_CONFIG_JWT_ISSUER", "x" * 1025),
        ("TRACING_CONFIG_JWT_AUDIENCE", "a\x00b"),
        ("TRACING_CONFIG_TRUSTED_PROXIES", "11"),
        ("TRACING_CONFIG_TRUSTED_PROXIES", "-1"),
        ("TRACING_CONFIG_TRUSTED_PROXIES", "10.0.0.0/8"),
        ("TRACING_CONFIG_IMPORT_MAX_BYTES", "1048575"),
        ("TRACING_CONFIG_IMPORT_MAX_BYTES", "1073741825"),
        ("TRACING_CONFIG_IMPORT_MAX_BYTES", "64M"),
        ("TRACING_CONFIG_IMPORT_MAX_BYTES", "9" * 5000),
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


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff", b"x" * 70_000])
def test_a_file_that_holds_no_secret_is_refused_and_not_taken_for_a_setting_left_out(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    for name in ("DATABASE_URL", "REDIS_URL", "ADMIN_TOKEN", "JWT_SECRETS"):
        with pytest.raises(SettingError, match=f"TRACING_CONFIG_{name}_FILE") as error:
            read_settings({f"TRACING_CONFIG_{name}_FILE": str(file)})
        assert str(file) in str(error.value)


def test_secrets_of_a_file_are_a_list_too(tmp_path: Path) -> None:
    file = tmp_path / "secrets"
    file.write_text(f"{SECRETS}\n")
    settings = read_settings({"TRACING_CONFIG_JWT_SECRETS_FILE": str(file)})
    assert settings.jwt_secrets == tuple(SECRETS.split(","))


def test_settings_know_where_they_came_from(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("0123456789abcdef")
    settings = read_settings(
        {
            "TRACING_CONFIG_HOST": "::1",
            "LOG_LEVEL": "INFO",
            "TRACING_CONFIG_ADMIN_TOKEN_FILE": str(file),
            "TRACING_CONFIG_DATA_DIR": "",
        }
    )
    assert settings.sources == {
        "host": Source("TRACING_CONFIG_HOST"),
        "log_level": Source("LOG_LEVEL"),
        "admin_token": Source("TRACING_CONFIG_ADMIN_TOKEN_FILE", file),
    }


@pytest.mark.parametrize("name", ["ADMIN_TOKEN", "JWT_SECRETS"])
def test_a_weak_secret_is_not_repeated_in_the_error(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    for secret in ("hunter2", f"hunter2{'x' * 40} {'x' * 40}"):
        file.write_text(secret)
        for given in ({f"TRACING_CONFIG_{name}_FILE": str(file)}, {f"TRACING_CONFIG_{name}": secret}):
            with pytest.raises(SettingError, match=name) as error:
                read_settings(given)
            assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "address", ["mysql://user:hunter2@host", "postgresql://user:hunter2℀@host", "postgresql://a:hunter2@[x"]
)
def test_a_bad_address_is_not_repeated_in_the_error(tmp_path: Path, address: str) -> None:
    file = tmp_path / "url"
    file.write_text(address)
    for given in ({"TRACING_CONFIG_DATABASE_URL_FILE": str(file)}, {"TRACING_CONFIG_DATABASE_URL": file.read_text()}):
        with pytest.raises(SettingError) as error:
            read_settings(given)
        assert "hunter2" not in str(error.value)


def test_variables_that_kubernetes_injects_are_ignored() -> None:
    assert (
        read_settings({"TRACING_CONFIG_PORT": "tcp://10.0.0.1:8093", "TRACING_CONFIG_SERVICE_HOST": "10.0.0.1"}) == Settings()
    )


EXAMPLE = (Path(__file__).parents[2] / "deploy" / "example.env").read_text()


def variable_of(field: str) -> str:
    return field.upper() if field == "log_level" else PREFIX + field.upper()


FIELDS = [field for field in Settings.__struct_fields__ if field not in ("sources", "spans")]


def test_the_example_has_each_setting_once_and_nothing_else() -> None:
    lines = [line for line in EXAMPLE.splitlines() if line and not line.startswith("# ")]
    documented = re.findall(r"^#([A-Z0-9_]+)=.*$", EXAMPLE, re.MULTILINE)
    assert sorted(documented) == sorted([*map(variable_of, FIELDS), *VARIABLES])
    # Every line is prose or a setting that is left out, so the file can be used as it is.
    assert len(lines) == len(documented)


def test_the_example_tells_each_default_and_an_empty_one_only_where_there_is_none() -> None:
    documented = dict(re.findall(r"^#([A-Z0-9_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    for field in FIELDS:
        default = getattr(Settings(), field)
        value = documented[variable_of(field)]
        assert bool(value) == (default not in {None, ()}), field
        assert getattr(read_settings({variable_of(field): value}), field) == default, field
    for name, variable in VARIABLES.items():
        assert documented[name] == variable.default


def test_the_example_tells_each_secret_that_can_come_from_a_file() -> None:
    for field in FIELDS:
        variable = f"{variable_of(field)}_FILE"
        try:
            read_settings({variable: "/nowhere"})
        except SettingError:
            assert variable in EXAMPLE
        else:
            assert variable not in EXAMPLE


def test_what_is_wrong_is_told_of_every_setting_and_the_others_are_read() -> None:
    settings, refused = examine_settings(
        {
            "TRACING_CONFIG_SIDECAR_PORT": "x",
            "TRACING_CONFIG_REDIS_URL": "memcached://hunter2",
            "TRACING_CONFIG_DATABASE_URL": "postgresql://host/db",
            "TRACING_CONFIG_POLL_TLS_CERT": "/tls.crt",
            "TRACING_CONFIG_ELASTICSEARCH_URL": "nowhere",
            "TRACING_CONFIG_TRACE_RETENTION_DAYS": "30",
            "TRACING_CONFIG_HOST": "::1",
        }
    )
    assert list(refused) == ["sidecar_port", "redis_url", "elasticsearch_url", "admin_token", "poll_tls_cert"]
    assert all(str(error).startswith(f"TRACING_CONFIG_{field.upper()}: ") for field, error in refused.items())
    assert not any("hunter2" in str(error) for error in refused.values())
    assert (settings.host, settings.database_url) == ("::1", "postgresql://host/db")
    assert (settings.sidecar_port, settings.redis_url, settings.poll_tls_cert) == (8093, None, None)

"""Every setting of the process: environment variables, read once into one frozen object before anything opens.

``deploy/example.env`` documents each with its unit and reason. Unknown ``TRACING_CONFIG_*`` variables are ignored:
Kubernetes injects such names for a service called tracing-config.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from sampling.export_configuration import OTLP_PATH, ZIPKIN_PATH
from server import setting_rules
from server import setting_values as values_of
from server.setting_reader import Reader, SettingError, Source
from server.span_settings import SpanSettings, read_span_settings

PREFIX = setting_rules.PREFIX

SQLITE_FILE = "tracing-config.db"
"""In the data folder: the database, where no address names another."""

MEBIBYTE = 1024 * 1024


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings with their defaults: an SQLite file, no Redis, loopback only."""

    host: str = "127.0.0.1"
    grpc_ports: tuple[int, ...] = (14250, 5779)
    http_ports: tuple[int, ...] = (5778,)
    sidecar_port: int = 8093
    metrics_port: int = 9090
    data_dir: Path = Path("var")
    database_url: str | None = None
    """``postgresql://...``, or None for the SQLite file in the data folder."""

    database_pool_min: int = 1
    database_pool_max: int = 10
    redis_url: str | None = None
    strategies_file: Path | None = None
    poll_server: str = "h2corn"
    poll_tls_cert: Path | None = None
    """With it polls are over TLS, all of them."""

    poll_tls_key: Path | None = None
    poll_tls_client_ca: Path | None = None
    """With it a client needs a certificate of these authorities."""

    poll_tls_client_names: tuple[str, ...] = ()
    sidecar_tls_cert: Path | None = None
    """Of the metrics too."""

    sidecar_tls_key: Path | None = None
    sidecar_tls_client_ca: Path | None = None
    sidecar_tls_client_names: tuple[str, ...] = ()
    admin_token: str | None = None
    tokens_file: Path | None = None
    """More tokens, by their hashes."""

    jwt_secrets: tuple[str, ...] = ()
    """Each verifies; none: JWTs are not taken."""

    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    trusted_proxies: int = 0
    """So many proxies in front of the sidecar each add an address to ``X-Forwarded-For``."""

    poll_url: str | None = None
    """Where services are told to poll; None: the host at which they asked for it."""

    jaeger_url: str | None = None
    """OTLP over HTTP, of Jaeger's or another collector."""

    zipkin_url: str | None = None
    elasticsearch_url: str | None = None
    """Where Jaeger or Zipkin keep their traces, Elasticsearch or OpenSearch."""

    trace_index_prefixes: tuple[str, ...] = ()
    trace_index_date_separator: str = "-"
    trace_retention_days: int | None = None
    """None: old traces are removed only when somebody asks for it."""

    registry: str | None = None
    """``eureka`` or ``consul``."""

    registry_url: str | None = None
    registry_token: str | None = None
    registry_address: str | None = None
    """Under which others reach this replica; None: found out."""

    import_max_bytes: int = 64 * MEBIBYTE
    drain_seconds: float = 0.0
    """Between readiness down and the first closed connection."""

    health_details: str = "always"
    """``authorized``: the components of health are for those with a token."""

    disk_threshold_bytes: int = 10 * MEBIBYTE
    """Less free space than this in the data folder is DOWN."""

    log_level: str = "INFO"
    log_dir: Path | None = None
    """The lines of the log go to files there too."""

    spans: SpanSettings | None = None
    """None: this server sends no spans of its own."""

    sources: Mapping[str, Source] = {}
    """By field; a field that is not here has its default."""

    def variable(self, field: str) -> str:
        """The variable that a setting was given in, or would be."""
        source = self.sources.get(field)
        return f"{PREFIX}{field.upper()}" if source is None else source.variable


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read and check every setting.

    Raises:
        SettingError: for the first one that cannot be used.
    """
    settings, refused = examine_settings(environment)
    for error in refused.values():
        raise error
    return settings


def examine_settings(environment: Mapping[str, str]) -> tuple[Settings, Mapping[str, SettingError]]:
    """Every setting that can be used, and what is wrong with the others, by field; these have their defaults."""
    read = Reader(environment)
    settings = Settings(
        host=read.value("HOST", str, "127.0.0.1"),
        grpc_ports=read.value("GRPC_PORTS", values_of.ports, (14250, 5779)),
        http_ports=read.value("HTTP_PORTS", values_of.ports, (5778,)),
        sidecar_port=read.value("SIDECAR_PORT", values_of.port, 8093),
        metrics_port=read.value("METRICS_PORT", values_of.port, 9090),
        data_dir=read.value("DATA_DIR", Path, Path("var")),
        database_url=read.secret("DATABASE_URL", values_of.database_url, None),
        database_pool_min=read.value("DATABASE_POOL_MIN", values_of.number_of("connections", 0, 1000), 1),
        database_pool_max=read.value("DATABASE_POOL_MAX", values_of.number_of("connections", 1, 1000), 10),
        redis_url=read.secret("REDIS_URL", values_of.redis_url, None),
        strategies_file=read.value("STRATEGIES_FILE", Path, None),
        poll_server=read.value("POLL_SERVER", values_of.one_of("h2corn", "grpcio"), "h2corn"),
        poll_tls_cert=read.value("POLL_TLS_CERT", Path, None),
        poll_tls_key=read.value("POLL_TLS_KEY", Path, None),
        poll_tls_client_ca=read.value("POLL_TLS_CLIENT_CA", Path, None),
        poll_tls_client_names=read.value("POLL_TLS_CLIENT_NAMES", values_of.patterns, ()),
        sidecar_tls_cert=read.value("SIDECAR_TLS_CERT", Path, None),
        sidecar_tls_key=read.value("SIDECAR_TLS_KEY", Path, None),
        sidecar_tls_client_ca=read.value("SIDECAR_TLS_CLIENT_CA", Path, None),
        sidecar_tls_client_names=read.value("SIDECAR_TLS_CLIENT_NAMES", values_of.patterns, ()),
        admin_token=read.secret("ADMIN_TOKEN", values_of.admin_token, None),
        tokens_file=read.value("TOKENS_FILE", Path, None),
        jwt_secrets=read.secret("JWT_SECRETS", values_of.jwt_secrets, ()),
        jwt_issuer=read.value("JWT_ISSUER", values_of.claim, None),
        jwt_audience=read.value("JWT_AUDIENCE", values_of.claim, None),
        trusted_proxies=read.value("TRUSTED_PROXIES", values_of.number_of("proxies", 0, 10), 0),
        poll_url=read.value("POLL_URL", values_of.poll_url, None),
        jaeger_url=read.value("JAEGER_URL", values_of.target_url(OTLP_PATH), None),
        zipkin_url=read.value("ZIPKIN_URL", values_of.target_url(ZIPKIN_PATH), None),
        elasticsearch_url=read.secret("ELASTICSEARCH_URL", values_of.http_url, None),
        trace_index_prefixes=read.value("TRACE_INDEX_PREFIXES", values_of.index_prefixes, ()),
        trace_index_date_separator=read.value("TRACE_INDEX_DATE_SEPARATOR", values_of.one_of("-", ".", "_", "none"), "-"),
        trace_retention_days=read.value("TRACE_RETENTION_DAYS", values_of.number_of("days", 1, 36500), None),
        registry=read.value("REGISTRY", values_of.one_of("eureka", "consul"), None),
        registry_url=read.secret("REGISTRY_URL", values_of.http_url, None),
        registry_token=read.secret("REGISTRY_TOKEN", values_of.header_token, None),
        registry_address=read.value("REGISTRY_ADDRESS", values_of.host_name, None),
        import_max_bytes=read.value("IMPORT_MAX_BYTES", values_of.number_of("bytes", MEBIBYTE, 1024 * MEBIBYTE), 64 * MEBIBYTE),
        drain_seconds=read.value("DRAIN_SECONDS", values_of.seconds, 0.0),
        health_details=read.value("HEALTH_DETAILS", values_of.one_of("always", "authorized"), "always"),
        disk_threshold_bytes=read.value("DISK_THRESHOLD_BYTES", values_of.number_of("bytes", 0, 2**63 - 1), 10 * MEBIBYTE),
        log_dir=read.value("LOG_DIR", Path, None),
        log_level=read.value("LOG_LEVEL", values_of.log_level, "INFO", prefix=""),
        spans=read_span_settings(read),
        sources=read.sources,
    )
    alone = [PREFIX + field.upper() for field in read.refused]
    for field, problem in setting_rules.problems_together(settings):
        if not any(variable in problem for variable in alone):  # Else it follows from what is told already.
            read.refused.setdefault(field, SettingError(f"{PREFIX}{field.upper()}: {problem}"))
        settings = msgspec.structs.replace(settings, **{field: getattr(Settings(), field)})
    return settings, read.refused


class StoreSettings(msgspec.Struct, frozen=True):
    """Where the store is: all that commands need which work on it without a server."""

    data_dir: Path
    database_url: str | None


def read_store_settings(environment: Mapping[str, str]) -> StoreSettings:
    """Read and check where the store is, and nothing that only a server needs. Raises SettingError."""
    read = Reader(environment)
    settings = StoreSettings(
        data_dir=read.value("DATA_DIR", Path, Path("var")),
        database_url=read.secret("DATABASE_URL", values_of.database_url, None),
    )
    for error in read.refused.values():
        raise error
    return settings

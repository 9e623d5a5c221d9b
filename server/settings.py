"""Every setting of the process: environment variables, read once into one frozen object before anything opens.

``deploy/example.env`` documents each with its unit and reason. Unknown ``TRACING_CONFIG_*`` variables are ignored:
Kubernetes injects such names for a service called tracing-config.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

PREFIX = "TRACING_CONFIG_"

Parsed = TypeVar("Parsed")


class SettingError(ValueError):
    """Is raised for a setting that cannot be used; the message names the variable and the cure."""


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
    admin_token: str | None = None
    drain_seconds: float = 0.0
    """Between readiness down and the first closed connection."""

    log_level: str = "INFO"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read and check every setting.

    Raises:
        SettingError: for the first one that cannot be used.
    """
    read = _Reader(environment)
    settings = Settings(
        host=read.value("HOST", str, "127.0.0.1"),
        grpc_ports=read.value("GRPC_PORTS", _ports, (14250, 5779)),
        http_ports=read.value("HTTP_PORTS", _ports, (5778,)),
        sidecar_port=read.value("SIDECAR_PORT", _port, 8093),
        metrics_port=read.value("METRICS_PORT", _port, 9090),
        data_dir=read.value("DATA_DIR", Path, Path("var")),
        database_url=read.secret("DATABASE_URL", _database_url),
        database_pool_min=read.value("DATABASE_POOL_MIN", _pool_size, 1),
        database_pool_max=read.value("DATABASE_POOL_MAX", _pool_size, 10),
        redis_url=read.secret("REDIS_URL", _redis_url),
        strategies_file=read.value("STRATEGIES_FILE", Path, None),
        poll_server=read.value("POLL_SERVER", _one_of("h2corn", "grpcio"), "h2corn"),
        admin_token=read.secret("ADMIN_TOKEN", _admin_token),
        drain_seconds=read.value("DRAIN_SECONDS", _seconds, 0.0),
        log_level=read.value("LOG_LEVEL", _log_level, "INFO", prefix=""),
    )
    _check_together(settings)
    return settings


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def value(self, name: str, parse: Callable[[str], Parsed], default: Parsed, *, prefix: str = PREFIX) -> Parsed:
        """An empty variable counts as not set: that is how compose files and manifests leave one out."""
        text = self._environment.get(prefix + name, "").strip()
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as error:
            raise SettingError(f"{prefix}{name}: {error}") from None

    def secret(self, name: str, parse: Callable[[str], str]) -> str | None:
        """From the variable, or from the file that ``<NAME>_FILE`` names; its value is never part of an error."""
        path = self._environment.get(f"{PREFIX}{name}_FILE", "").strip()
        if not path:
            return self.value(name, parse, None)
        if self._environment.get(PREFIX + name, "").strip():
            raise SettingError(f"{PREFIX}{name}: is given as {PREFIX}{name}_FILE too; remove one of them")
        try:
            text = Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise SettingError(f"{PREFIX}{name}_FILE: cannot read {path}: {reason}") from None
        try:
            return parse(text) if text else None
        except ValueError as error:
            raise SettingError(f"{PREFIX}{name}_FILE: {error}") from None


def _check_together(settings: Settings) -> None:
    if settings.database_pool_min > settings.database_pool_max:
        raise SettingError(
            f"{PREFIX}DATABASE_POOL_MIN: {settings.database_pool_min} is more than "
            f"{PREFIX}DATABASE_POOL_MAX ({settings.database_pool_max}); lower it or raise the other"
        )
    if settings.database_url is not None and settings.admin_token is None:
        raise SettingError(
            f"{PREFIX}ADMIN_TOKEN: is required with PostgreSQL, where replicas must share one; "
            "set it, or name a file with it in TRACING_CONFIG_ADMIN_TOKEN_FILE"
        )
    taken: dict[int, str] = {}
    for name, ports in (
        ("GRPC_PORTS", settings.grpc_ports),
        ("HTTP_PORTS", settings.http_ports),
        ("SIDECAR_PORT", (settings.sidecar_port,)),
        ("METRICS_PORT", (settings.metrics_port,)),
    ):
        for port in ports:
            if port and port in taken:
                raise SettingError(f"{PREFIX}{name}: port {port} is also in {PREFIX}{taken[port]}; give each its own")
            taken[port] = name


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ValueError(f"{text!r} is not a port; give a number from 1 to 65535, or 0 for a free one")
    return int(text)


def _ports(text: str) -> tuple[int, ...]:
    return tuple(_port(part.strip()) for part in text.split(","))


def _pool_size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1000:
        raise ValueError(f"{text!r} is not a number of connections from 1 to 1000")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise ValueError(f"{text!r} is not a number of seconds from 0 to 3600")
    return seconds


def _database_url(text: str) -> str:
    if urlsplit(text).scheme not in ("postgresql", "postgres"):
        raise ValueError("must start with postgresql://; leave it out for SQLite in the data folder")
    return text


def _redis_url(text: str) -> str:
    if urlsplit(text).scheme not in ("redis", "rediss"):
        raise ValueError("must start with redis:// or rediss://")
    return text


def _admin_token(text: str) -> str:
    if len(text) < 16 or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be at least 16 printable ASCII characters without spaces; `openssl rand -hex 32` makes one")
    return text


def _log_level(text: str) -> str:
    return _one_of("DEBUG", "INFO", "WARNING", "ERROR")(text.upper())


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"{text!r} is not one of {', '.join(allowed)}")
        return text

    return parse

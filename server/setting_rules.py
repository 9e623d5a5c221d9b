"""Which settings go together."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.settings import Settings

PREFIX = "TRACING_CONFIG_"


def problems_together(settings: "Settings") -> Iterator[tuple[str, str]]:
    """Which settings make no sense beside each other: the field, and why, with the cure."""
    if settings.database_pool_min > settings.database_pool_max:
        yield (
            "database_pool_min",
            f"{settings.database_pool_min} is more than {PREFIX}DATABASE_POOL_MAX ({settings.database_pool_max}); lower it",
        )
    if settings.database_url is not None and settings.admin_token is None:
        yield (
            "admin_token",
            f"is required with PostgreSQL, where replicas must share one; set it, or name its file in {PREFIX}ADMIN_TOKEN_FILE",
        )
    for kind in ("POLL", "SIDECAR"):
        yield from _tls(settings, f"{kind}_TLS_")
    yield from _dependencies(settings)
    taken: dict[int, str] = {}
    for name, ports in (
        ("GRPC_PORTS", settings.grpc_ports),
        ("HTTP_PORTS", settings.http_ports),
        ("SIDECAR_PORT", (settings.sidecar_port,)),
        ("METRICS_PORT", (settings.metrics_port,)),
    ):
        for port in ports:
            if port and port in taken:
                yield name.lower(), f"port {port} is also in {PREFIX}{taken[port]}; give each its own"
            taken[port] = name


def _tls(settings: "Settings", name: str) -> Iterator[tuple[str, str]]:
    def is_set(part: str) -> bool:
        return bool(getattr(settings, f"{name}{part}".lower()))

    for part, needed, reason in (
        ("KEY", "CERT", "a key is of no use without its certificate"),
        ("CERT", "KEY", "a certificate is of no use without its private key"),
        ("CLIENT_CA", "CERT", "clients show certificates only over TLS"),
        ("CLIENT_NAMES", "CLIENT_CA", "names count only in certificates of an authority"),
    ):
        if is_set(part) and not is_set(needed):
            yield f"{name}{part}".lower(), f"{reason}; set {PREFIX}{name}{needed} too, or leave it out"


def _dependencies(settings: "Settings") -> Iterator[tuple[str, str]]:
    for field, needed, reason in (
        ("registry", "registry_url", "nobody knows where the registry is"),
        ("registry_url", "registry", "nobody knows which kind of registry it is"),
        ("registry_token", "registry", "there is no registry to show it to"),
        ("registry_address", "registry", "there is no registry to tell it to"),
        ("trace_retention_days", "elasticsearch_url", "nobody knows where the traces are"),
    ):
        if getattr(settings, field) is not None and getattr(settings, needed) is None:
            yield field, f"{reason}; set {PREFIX}{needed.upper()} too, or leave it out"
    if settings.registry == "eureka" and settings.registry_token is not None:
        yield "registry_token", f"Eureka takes none; put user and password into {PREFIX}REGISTRY_URL"

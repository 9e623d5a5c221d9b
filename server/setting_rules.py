"""Which settings go together."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.settings import Settings

PREFIX = "TRACING_CONFIG_"


def check_together(settings: "Settings") -> None:
    """Refuse settings that make no sense beside each other. Raises ValueError, naming the variable and the cure."""
    if settings.database_pool_min > settings.database_pool_max:
        raise ValueError(
            f"{PREFIX}DATABASE_POOL_MIN: {settings.database_pool_min} is more than "
            f"{PREFIX}DATABASE_POOL_MAX ({settings.database_pool_max}); lower it or raise the other"
        )
    if settings.database_url is not None and settings.admin_token is None:
        raise ValueError(
            f"{PREFIX}ADMIN_TOKEN: is required with PostgreSQL, where replicas must share one; "
            "set it, or name a file with it in TRACING_CONFIG_ADMIN_TOKEN_FILE"
        )
    for kind in ("POLL", "SIDECAR"):
        _check_tls(settings, f"{kind}_TLS_")
    _check_dependencies(settings)
    taken: dict[int, str] = {}
    for name, ports in (
        ("GRPC_PORTS", settings.grpc_ports),
        ("HTTP_PORTS", settings.http_ports),
        ("SIDECAR_PORT", (settings.sidecar_port,)),
        ("METRICS_PORT", (settings.metrics_port,)),
    ):
        for port in ports:
            if port and port in taken:
                raise ValueError(f"{PREFIX}{name}: port {port} is also in {PREFIX}{taken[port]}; give each its own")
            taken[port] = name


def _check_tls(settings: "Settings", name: str) -> None:
    def is_set(part: str) -> bool:
        return bool(getattr(settings, f"{name}{part}".lower()))

    for part, needed, reason in (
        ("KEY", "CERT", "a key is of no use without its certificate"),
        ("CERT", "KEY", "a certificate is of no use without its private key"),
        ("CLIENT_CA", "CERT", "clients show certificates only over TLS"),
        ("CLIENT_NAMES", "CLIENT_CA", "names count only in certificates of an authority"),
    ):
        if is_set(part) and not is_set(needed):
            raise ValueError(f"{PREFIX}{name}{part}: {reason}; set {PREFIX}{name}{needed} too, or leave it out")


def _check_dependencies(settings: "Settings") -> None:
    for field, needed, reason in (
        ("registry", "registry_url", "nobody knows where the registry is"),
        ("registry_url", "registry", "nobody knows which kind of registry it is"),
        ("registry_token", "registry", "there is no registry to show it to"),
        ("registry_address", "registry", "there is no registry to tell it to"),
        ("trace_retention_days", "elasticsearch_url", "nobody knows where the traces are"),
    ):
        if getattr(settings, field) is not None and getattr(settings, needed) is None:
            raise ValueError(f"{PREFIX}{field.upper()}: {reason}; set {PREFIX}{needed.upper()} too, or leave it out")
    if settings.registry == "eureka" and settings.registry_token is not None:
        raise ValueError(f"{PREFIX}REGISTRY_TOKEN: Eureka takes none; put user and password into {PREFIX}REGISTRY_URL")

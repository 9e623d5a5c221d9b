"""A service registry as this server uses one, and what it is told of a replica."""

import socket
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from ipaddress import ip_address
from typing import Protocol

import msgspec

from server.settings import Settings

APPLICATION = "tracing-config"

BEAT_SECONDS = 10
"""Between two heartbeats, ± 20 %."""

LEASE_SECONDS = 30
"""Without a heartbeat; after these a registry takes a replica for dead. Two may be lost."""

HEALTH_PATH = "/actuator/health"
HOME_PATH = "/api/v1/openapi.json"


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One replica, as others find it."""

    id: str
    """The same after a restart, and no other replica's."""

    address: str | None
    """A name or an address; None: the one from which the registry is reached."""

    family: socket.AddressFamily
    """Of an address that is found out: AF_INET where this server listens on IPv4 alone, AF_UNSPEC for any."""

    port: int
    """Of the sidecar."""

    secure: bool
    """Whether that port speaks TLS."""

    metadata: Mapping[str, str]
    """The other ports, and the paths. The keys are names of XML elements."""


class Registry(Protocol):
    """Each method is one or two bounded requests. Raises Unusable."""

    kind: str
    url: str
    """Without secrets."""

    async def register(self, instance: Instance) -> None:
        """Tell of a replica; it takes the place of one with the same id."""

    async def beat(self, instance_id: str) -> bool:
        """Say that a replica is alive. False: the registry does not know it."""

    async def deregister(self, instance_id: str) -> bool:
        """Take a replica out. False: it was not there."""

    async def look(self, instance_id: str) -> bool:
        """Whether the registry knows a replica. Changes nothing."""

    async def close(self) -> None: ...


def instance_of(settings: Settings, ports: Mapping[str, Sequence[int]] | None = None) -> Instance:
    """The replica of these settings. ``ports``: the real ones, as `Ports.numbers` names them; else those of the settings."""
    if ports is None:
        ports = {
            "grpc_ports": settings.grpc_ports,
            "http_ports": settings.http_ports,
            "sidecar_ports": (settings.sidecar_port,),
            "metrics_ports": (settings.metrics_port,),
        }
    port = ports["sidecar_ports"][0]
    secure = settings.sidecar_tls_cert is not None
    return Instance(
        id=f"{socket.gethostname()}:{APPLICATION}:{port}",
        address=settings.registry_address or (None if _is_every_address(settings.host) else settings.host),
        family=socket.AF_INET if is_address(settings.host) and ip_address(settings.host).version == 4 else socket.AF_UNSPEC,
        port=port,
        secure=secure,
        metadata={
            "version": version("tracing-config"),
            "secure": _word(secure),
            "management.port": str(port),
            "health.path": HEALTH_PATH,
            "prometheus.scrape": "true",
            "prometheus.port": str(ports["metrics_ports"][0]),
            "prometheus.path": "/metrics",
            "polls.grpc.ports": _list(ports["grpc_ports"]),
            "polls.http.ports": _list(ports["http_ports"]),
            "polls.http.path": "/sampling",
            "polls.secure": _word(settings.poll_tls_cert is not None),
        },
    )


def is_address(host: str) -> bool:
    """Whether it is an IP address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_every_address(host: str) -> bool:
    return is_address(host) and ip_address(host).is_unspecified


def _list(ports: Sequence[int]) -> str:
    return ",".join(map(str, ports))


def _word(truth: bool) -> str:
    return "true" if truth else "false"

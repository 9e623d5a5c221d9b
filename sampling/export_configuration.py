"""Where a service should send its spans, as its record says it."""

import re
from ipaddress import IPv6Address
from typing import Annotated

import msgspec

from sampling.strategy import Value

MAX_ENDPOINT_CHARACTERS = 2048

OTLP_PATH = "/v1/traces"
ZIPKIN_PATH = "/api/v2/spans"

Endpoint = Annotated[
    str,
    msgspec.Meta(
        description="The service's own target, in place of the platform's: http://host:4318, without the path of the protocol.",
        max_length=MAX_ENDPOINT_CHARACTERS,
    ),
]


class Exporter(Value, frozen=True, gc=False):
    """Whether a service exports its spans to one tracing backend, and perhaps to one of its own.

    Raises:
        ValueError: naming the field and the cure.
    """

    enabled: bool
    endpoint: Endpoint | None = None
    """None: where the settings of the platform say."""

    def __post_init__(self) -> None:
        if self.endpoint is not None:
            self._normalize("endpoint", checked_endpoint(self.endpoint))


class ExportConfiguration(Value, frozen=True, gc=False):
    """Where a service should export its spans. A backend that is not named gets none."""

    jaeger: Exporter | None = None
    zipkin: Exporter | None = None


_URL = re.compile(
    r"https?://(?:[A-Za-z0-9._-]+|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?:/(?:[A-Za-z0-9._~+=:,/-]|%[0-9A-Fa-f]{2})*)?"
)
"""Stricter than it need be: a service that is told an address that its SDK cannot read does not start."""


def checked_endpoint(url: str) -> str:
    """The one spelling of an endpoint, which services are told as it is.

    Raises:
        ValueError: naming the field and the cure, but never what may be a password.
    """
    if "@" in url:
        raise ValueError("endpoint: must hold no user and no password: services are told it as it is")
    found = _URL.fullmatch(url)
    if found is None or not 1 <= int(found["port"] or 1) <= 65535 or not _is_ipv6(found["ipv6"] or "::"):
        raise ValueError(
            "endpoint: must be like http://host:4318, with a host, a port up to 65535, perhaps a path, and nothing after ? or #"
        )
    url = url.rstrip("/")
    for path in (OTLP_PATH, ZIPKIN_PATH):
        if url.endswith(path):
            raise ValueError(f"endpoint: must not end in {path}, which is added to it; remove that")
    return url


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True

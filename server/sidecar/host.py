"""At which host a request came in. A client says so: it may be anything, and is not repeated before it was looked at."""

import re
from typing import NamedTuple

from aiohttp import hdrs, web

from server.settings import Settings

_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?P<port>:[0-9]{1,5})?")


class Host(NamedTuple):
    """The header ``Host`` of a request, in parts."""

    name: str
    """An address of IPv6 has its brackets."""

    port: str
    """With its colon; empty where none was given."""


def host_of(request: web.Request) -> Host | None:
    """None where the header could lead nowhere."""
    found = _HOST.fullmatch(request.headers.get(hdrs.HOST, ""))
    return None if found is None else Host(found["name"], found["port"] or "")


def scheme_of(request: web.Request, settings: Settings) -> str:
    """How the client speaks to the sidecar, or to the proxies in front of it that are trusted."""
    told = request.headers.get("X-Forwarded-Proto") if settings.trusted_proxies else None
    if told in ("http", "https"):
        return told
    return "http" if settings.sidecar_tls_cert is None else "https"

"""What requests are called in the log, the metrics and spans: one of a few names each, whatever clients send."""

from aiohttp import hdrs, web


def method_of(request: web.Request) -> str:
    """One that HTTP knows, or ``other``."""
    return request.method if request.method in hdrs.METH_ALL else "other"


def route_of(request: web.Request) -> str | None:
    """The path with its placeholders; None where nothing is there."""
    resource = request.match_info.route.resource
    return None if resource is None else resource.canonical


def is_routine(route: str | None) -> bool:
    """Whether it is for probes and scrapes."""
    return route is not None and (route.startswith("/actuator/health") or route in ("/actuator/prometheus", "/metrics"))

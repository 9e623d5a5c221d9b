"""Each request of the sidecar is a span, in the trace of its caller; a probe or a scrape is none."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from server.sidecar.client_address import client_address
from server.sidecar.parts import PARTS
from server.sidecar.request_names import is_routine, method_of, route_of
from server.telemetry.traces import Asked


@web.middleware
async def request_trace(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Stands around the log's line of the request, which has the ids of the span too."""
    route = route_of(request)
    if is_routine(route):
        return await handler(request)
    parts = request.app[PARTS]
    asked = Asked(
        method=method_of(request),
        route=route,
        path=request.rel_url.raw_path,
        scheme=request.scheme,
        client=client_address(request, parts.settings.trusted_proxies),
        # More than one traceparent is none, and a tracestate may come in parts: so the specification has it.
        traceparent=",".join(request.headers.getall("traceparent", ())),
        tracestate=",".join(request.headers.getall("tracestate", ())),
    )
    with parts.traces.request(asked) as answered:
        response = await handler(request)
        answered(response.status)
        return response

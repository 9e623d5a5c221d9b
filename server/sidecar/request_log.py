"""What each request of the sidecar leaves behind: a line in the log, and a count and its time in the metrics."""

import logging
from collections.abc import Awaitable, Callable
from time import perf_counter

import structlog
from aiohttp import web

from server.sidecar.client_address import client_address
from server.sidecar.parts import PARTS
from server.sidecar.request_names import is_routine, method_of, route_of
from server.sidecar.turns import TURNS
from server.telemetry.request_times import Request

SLOW_MILLISECONDS = 1000.0
"""From here on a probe or scrape has a line too, as all else; the operations guide looks for such requests."""

PROBES = ("/actuator/health/liveness", "/actuator/health/readiness")
"""What an orchestrator asks, and acts upon where it is not answered in time."""

ACTOR = web.RequestKey("actor", str)
"""The name of who asks, once that is known."""

STARTED = web.RequestKey("started", float)
"""When it came in, by ``time.perf_counter``."""

_log = structlog.get_logger(__name__)


@web.middleware
async def request_log(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Tells who asked what, and how long it took to answer. Nothing that a client made up is in it, but its address.

    Probes and scrapes come every few seconds: those that are well are told at the level DEBUG. What failed on our side is a
    WARNING: a defect, or a store that is away, has an ERROR of its own, and would have thousands through this line.
    """
    started = request[STARTED] = perf_counter()
    method, route = method_of(request), route_of(request) or "none"
    await request.app[TURNS].wait(probe=route in PROBES)
    response = await handler(request)
    seconds = perf_counter() - started
    parts = request.app[PARTS]
    parts.metrics.requests.observe(Request(method, route, str(response.status)), seconds)
    milliseconds = 1000 * seconds
    if response.status >= 500:
        level = logging.WARNING
    elif response.status < 400 and milliseconds < SLOW_MILLISECONDS and is_routine(route):
        level = logging.DEBUG
    else:
        level = logging.INFO
    actor = request.get(ACTOR)
    _log.log(
        level,
        "a request was answered",
        method=method,
        route=route,
        status=response.status,
        response_time=round(milliseconds, 1),
        remote_addr=client_address(request, parts.settings.trusted_proxies),
        **({} if actor is None else {"actor": actor}),
    )
    return response

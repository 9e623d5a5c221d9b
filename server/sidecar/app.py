"""The sidecar: one aiohttp server for the configuration API and the actuator, one for metrics."""

import socket
from collections.abc import Awaitable, Callable
from time import perf_counter

from aiohttp import hdrs, web

from server.follower import Follower
from server.health import Health
from server.listeners import backlog, listen
from server.served import Served
from server.sidecar import actuator, policies_api, services_api
from server.sidecar.auth import Authentication
from server.sidecar.configuration import FOLLOWER, SERVED
from server.sidecar.errors import BODY_LIMIT, problem_middleware
from server.telemetry.metrics import Metrics

MAX_BODY_BYTES = 1024 * 1024

GRACE_SECONDS = 10.0
"""How long requests in flight may take at a stop."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Sidecar:
    """Listens on the two sockets it is given, until it is closed."""

    def __init__(self, *, follower: Follower, served: Served, health: Health, metrics: Metrics, admin_token: str) -> None:
        middlewares = [_measure, _security_headers, problem_middleware, Authentication(admin_token).middleware]
        self._api = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES)
        self._api.add_routes([*actuator.routes(), *services_api.routes(), *policies_api.routes()])
        self._metrics = web.Application(middlewares=[_security_headers, problem_middleware])
        self._metrics.add_routes(actuator.metrics_routes())
        for app in (self._api, self._metrics):
            app[BODY_LIMIT] = MAX_BODY_BYTES
            app[FOLLOWER], app[SERVED] = follower, served
            app[actuator.HEALTH], app[actuator.METRICS] = health, metrics
        self._runners: list[web.AppRunner] = []

    async def start(self, api: socket.socket, metrics: socket.socket) -> None:
        """Answer requests that come in on these bound sockets.

        Raises:
            CannotListen: another program took a port meanwhile.
        """
        for app, listener in ((self._api, api), (self._metrics, metrics)):
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=GRACE_SECONDS, keepalive_timeout=75)
            self._runners.append(runner)
            await runner.setup()
            listen(listener)
            await web.SockSite(runner, listener, backlog=backlog()).start()

    async def close(self) -> None:
        """Finish what is in flight, then stop."""
        while self._runners:
            await self._runners.pop().cleanup()


@web.middleware
async def _measure(request: web.Request, handler: Handler) -> web.StreamResponse:
    started = perf_counter()
    response = await handler(request)
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "none"
    metrics = request.app[actuator.METRICS]
    # A method is whatever a client sends: only known ones may become a label.
    method = request.method if request.method in hdrs.METH_ALL else "other"
    metrics.request_seconds.labels(method, route).observe(perf_counter() - started)
    metrics.requests.labels(method, route, str(response.status)).inc()
    return response


@web.middleware
async def _security_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    response.headers.update(
        {
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
            "Referrer-Policy": "no-referrer",
            "Server": "tracing-config",
        }
    )
    return response

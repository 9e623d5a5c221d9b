"""The sidecar: one aiohttp server for the configuration API and the actuator, one for metrics."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

from aiohttp import hdrs, web

from server.certificates import Certificate
from server.listeners import backlog, listen
from server.sidecar.actuator import METRICS_ROUTES
from server.sidecar.connection import OPTIONS, SECURITY_HEADERS, Connection
from server.sidecar.errors import problem_middleware
from server.sidecar.parts import PARTS, Parts
from server.sidecar.request_log import request_log
from server.sidecar.request_trace import request_trace
from server.sidecar.route import register
from server.sidecar.routes import ROUTES
from server.sidecar.turns import TURNS, Turns
from server.tls_listener import Refusals, TlsListener

GRACE_SECONDS = 5.0
"""How long requests in flight may take at a stop; the library waits twice as long for one that nobody reads."""


class Sidecar:
    """Listens on the two sockets it is given, until it is closed."""

    def __init__(self, parts: Parts) -> None:
        self._api = web.Application(middlewares=[request_trace, request_log, problem_middleware])
        register(self._api, ROUTES)
        self._metrics = web.Application(middlewares=[request_trace, request_log, problem_middleware])
        register(self._metrics, METRICS_ROUTES)
        turns = Turns()
        for app in (self._api, self._metrics):
            app[PARTS], app[TURNS] = parts, turns
            # Signals, not middlewares: an answer that is sent in pieces has its headers on the way before it returns.
            app.on_response_prepare.extend((_security_headers, _end_connection))
        self._refusals = Refusals(parts.metrics.refused_handshakes)
        self._opened: list[tuple[Callable[[], Awaitable[None]], web.AppRunner]] = []

    async def start(self, api: socket.socket, metrics: socket.socket, certificate: Certificate | None = None) -> None:
        """Answer requests that come in on these bound sockets, over TLS with a certificate.

        Raises:
            CannotListen: another program took a port meanwhile.
        """
        loop = asyncio.get_running_loop()
        for app, listener in ((self._api, api), (self._metrics, metrics)):
            runner = web.AppRunner(app, shutdown_timeout=GRACE_SECONDS)
            await runner.setup()
            listen(listener)
            connections = partial(Connection, cast("web.Server", runner.server), loop=loop, **OPTIONS)
            if certificate is None:
                server = await loop.create_server(connections, sock=listener, backlog=backlog())
                self._opened.append((partial(_close, server), runner))
            else:
                accepting = TlsListener(listener, certificate, connections, self._refusals)
                accepting.start()
                self._opened.append((accepting.close, runner))

    async def close(self) -> None:
        """Finish what is in flight, then stop."""
        opened, self._opened = self._opened, []
        await asyncio.gather(*(refuse() for refuse, _ in opened))
        for _, runner in reversed(opened):
            await runner.cleanup()


async def _close(server: asyncio.Server) -> None:
    server.close()


async def _security_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)


async def _end_connection(request: web.Request, response: web.StreamResponse) -> None:
    """From the first signal to stop on: a connection that is closed at the end may have a request on its way."""
    if request.app[PARTS].health.stopping:
        response.headers[hdrs.CONNECTION] = "close"
        response.force_close()

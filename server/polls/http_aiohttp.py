"""HTTP polls beside the grpcio server, which speaks gRPC only: aiohttp's low-level server, without routes."""

import asyncio
import logging
import socket
from collections.abc import Sequence

from aiohttp import web
from aiohttp.http import HttpProcessingError

from server.answers import Answers, BadPoll, NotReady
from server.listeners import backlog, listen
from server.polls.interface import IDLE_SECONDS, MAX_HEAD, MAX_REQUEST_LINE
from server.polls.refusals import Refusal, method_not_allowed, refusal

JSON = {"content-type": "application/json"}


def _is_a_defect(record: logging.LogRecord) -> bool:
    """aiohttp logs every request that it cannot read, with a traceback; those are anybody's, and need no line."""
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


_log = logging.getLogger(__name__)
_log.addFilter(_is_a_defect)


class HttpPolls:
    """Answers ``GET`` and ``HEAD`` on every path of its sockets, which are its own from then on."""

    def __init__(self, answers: Answers, sockets: Sequence[socket.socket]) -> None:
        self._answers = answers
        self._sockets = sockets
        self.leaving = False
        """Whether each answer ends its connection."""
        self._server: web.Server | None = None
        self._listening: list[asyncio.Server] = []

    async def start(self) -> None:
        """See ``PollServer``."""
        self._server = web.Server(
            self._respond,
            logger=_log,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            max_line_size=MAX_REQUEST_LINE,
            max_field_size=MAX_HEAD,
        )
        loop = asyncio.get_running_loop()
        for listener in self._sockets:
            listen(listener)
            self._listening.append(await loop.create_server(self._server, sock=listener, backlog=backlog()))

    async def stop(self, grace_seconds: float) -> None:
        """See ``PollServer``."""
        for listening in self._listening:
            listening.close()
        for listener in self._sockets:
            listener.close()
        if self._server is not None:
            self._server.pre_shutdown()
            await self._server.shutdown(grace_seconds)

    async def _respond(self, request: web.BaseRequest) -> web.Response:
        response = self._response(request)
        if self.leaving:
            response.force_close()
        return response

    def _response(self, request: web.BaseRequest) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            return _refuse(method_not_allowed("GET, HEAD"))
        # As the client sent it: aiohttp's own query string is decoded already.
        query = request.raw_path.partition("?")[2].encode(errors="surrogateescape")
        try:
            return web.Response(body=self._answers.json(query), headers=JSON)
        except (BadPoll, NotReady) as error:
            return _refuse(refusal(error))


def _refuse(refusal: Refusal) -> web.Response:
    return web.Response(status=refusal.status, headers=refusal.headers, body=refusal.body)

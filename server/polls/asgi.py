"""The default poll server: one h2corn in our event loop answers HTTP/1.1, HTTP/2 and every kind of gRPC on each port."""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress

import structlog
from h2corn import Config, RequestPolicy, Server

from server.answers import Answers
from server.listeners import connections_limit, listen, own_address
from server.polls.asgi_application import Application
from server.polls.asgi_services import Services, ServicesApplication
from server.polls.health_service import HealthService
from server.polls.interface import (
    BODY_SECONDS,
    GRACE_SECONDS,
    HEAD_SECONDS,
    IDLE_SECONDS,
    MAX_BODY,
    MAX_HEAD,
    MAX_REQUEST_LINE,
    MAX_STREAMS,
    WRITE_SECONDS,
    Address,
)
from server.polls.reflection_service import ReflectionService
from server.polls.services import POLL

RESTART_SECONDS = 1.0

STREAMS_SECONDS = 1.0
"""How long a stop waits for clients to take the end of their streams."""

SETTLE_SECONDS = 0.02
"""What h2corn has to note that a stream is over."""

_log = structlog.get_logger(__name__)


class AsgiPollServer:
    """See ``PollServer``. Every socket answers everything, whichever list it comes in."""

    def __init__(
        self,
        answers: Answers,
        grpc_sockets: Sequence[socket.socket],
        http_sockets: Sequence[socket.socket],
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._sockets = (*grpc_sockets, *http_sockets)
        self._grace_seconds = grace_seconds
        self._health = HealthService()
        self._reflection = ReflectionService()
        services = Services(answers, self._health, self._reflection)
        self._application = Application(answers, ServicesApplication(services))
        self._server: Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        for listener in self._sockets:
            listen(listener)
        await self._start_serving()
        self._keeping = asyncio.create_task(self._keep_serving())

    async def _start_serving(self) -> None:
        self._server = Server(self._application, self._config())
        self._serving = asyncio.create_task(self._server.serve())
        await self._server.wait_started()

    async def _keep_serving(self) -> None:
        """h2corn ends where no descriptors are left for a connection. It begins again: polls must go on."""
        while self._serving is not None:
            try:
                await self._serving
                return
            except Exception as error:  # noqa: BLE001 - said above
                _log.error("the poll server ended through an error; it starts again", reason=str(error))
            await asyncio.sleep(RESTART_SECONDS)
            with suppress(Exception):
                await self._start_serving()

    def own_addresses(self) -> Mapping[str, Address]:
        return {"grpc": own_address(self._sockets[0]), "http": own_address(self._sockets[-1])}

    def set_serving(self, serving: bool) -> None:
        self._health.set_serving(serving)
        self._application.leaving = not serving

    async def stop(self) -> None:
        self._health.close()
        self._reflection.close()
        if self._application.streams:
            # h2corn 2.0.0 misses the end of a stream that comes together with its shutdown, and waits for its whole grace.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._application.streams_ended(), STREAMS_SECONDS)
            await asyncio.sleep(SETTLE_SECONDS)
        if self._server is not None:
            self._server.shutdown()
        # h2corn closes duplicates of its own; while ours were open, connections would come and wait in vain.
        for listener in self._sockets:
            listener.close()
        if self._keeping is not None and self._serving is not None:
            if self._serving.done():  # Nothing is to begin again.
                self._keeping.cancel()
            await asyncio.wait((self._keeping,))

    def _config(self) -> Config:
        return Config(
            # By descriptor, so that a second h2corn can take over from the first without losing a connection.
            bind=tuple(f"fd://{listener.fileno()}" for listener in self._sockets),
            lifespan="off",
            grpc=True,
            runtime_threads=1,
            access_log=False,
            log_format="json",  # See ``server.telemetry.standard_error``.
            timeout_graceful_shutdown=self._grace_seconds,
            timeout_handshake=HEAD_SECONDS,
            timeout_request_header=HEAD_SECONDS,
            timeout_request_body_idle=BODY_SECONDS,
            timeout_keep_alive=IDLE_SECONDS,
            h2_timeout_response_stall=WRITE_SECONDS,
            h2_timeout_write=WRITE_SECONDS,
            limit_connections=connections_limit(),  # More of them wait to be accepted.
            limit_request_line=MAX_REQUEST_LINE,
            limit_request_field_size=MAX_HEAD,
            limit_request_head_size=MAX_HEAD,
            h2_max_header_list_size=MAX_HEAD,
            h2_max_header_block_size=MAX_HEAD,
            h2_initial_stream_window_size=2 * MAX_BODY,
            h2_initial_connection_window_size=16 * MAX_BODY,
            max_concurrent_streams=MAX_STREAMS,
            max_request_body_size=MAX_BODY,
            # gRPC has no limits by default, for streams. The application bounds a poll's size, to say so in gRPC's words.
            request_policies=(
                RequestPolicy(
                    path=POLL,
                    max_request_body_size=0,
                    timeout_request_body_idle=BODY_SECONDS,
                    h2_timeout_response_stall=WRITE_SECONDS,
                ),
            ),
        )

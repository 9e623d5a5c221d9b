"""The conservative poll server: gRPC by grpcio on its ports, HTTP by aiohttp on the others."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from server.answers import Answers, BadPoll, NotReady
from server.listeners import CannotListen, own_address
from server.polls.health_service import HealthService
from server.polls.http_aiohttp import HttpPolls
from server.polls.interface import GRACE_SECONDS, MAX_BODY, MAX_HEAD, MAX_STREAMS, Address
from server.polls.reflection_service import ReflectionService
from server.polls.services import HEALTH_CHECK, HEALTH_WATCH, POLL, REFLECT

OPTIONS = (
    # Two programs on one port would share its clients without a word.
    ("grpc.so_reuseport", 0),
    # Clients keep connections alive with pings, also between polls; grpcio would hang up on them.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.max_receive_message_length", MAX_BODY),
    ("grpc.max_metadata_size", MAX_HEAD),
    ("grpc.absolute_max_metadata_size", MAX_HEAD),
    ("grpc.max_concurrent_streams", MAX_STREAMS),
)

Parsed = TypeVar("Parsed", bound=Message)
Requests = AsyncIterator[bytes]
Context = grpc.aio.ServicerContext[bytes, bytes]


class GrpcioPollServer:
    """See ``PollServer``."""

    def __init__(
        self,
        answers: Answers,
        grpc_sockets: Sequence[socket.socket],
        http_sockets: Sequence[socket.socket],
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._grpc_sockets, self._http_sockets = grpc_sockets, http_sockets
        self._grace_seconds = grace_seconds
        self._health = HealthService()
        self._reflection = ReflectionService()
        self._methods = _Methods(answers, self._health, self._reflection)
        self._http = HttpPolls(answers, http_sockets)
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        self._server = grpc.aio.server(options=OPTIONS)
        self._server.add_generic_rpc_handlers((self._methods,))
        for reserved in self._grpc_sockets:
            # grpcio takes no descriptor, only an address. Linux lets it listen there beside our socket, which belongs to the
            # same user and does not listen itself.
            address = _address(reserved)
            try:
                self._server.add_insecure_port(address)
            except RuntimeError:
                host, port = reserved.getsockname()[:2]
                raise CannotListen(f"cannot listen on port {port} of {host}: another program listens there") from None
        await self._server.start()
        await self._http.start()

    def own_addresses(self) -> Mapping[str, Address]:
        return {"grpc": own_address(self._grpc_sockets[0]), "http": own_address(self._http_sockets[0])}

    def set_serving(self, serving: bool) -> None:
        self._health.set_serving(serving)
        self._http.leaving = not serving

    async def stop(self) -> None:
        self._health.close()
        self._reflection.close()
        stopping = [self._http.stop(self._grace_seconds)]
        if self._server is not None:
            stopping.append(self._server.stop(self._grace_seconds))
        await asyncio.gather(*stopping)
        for reserved in self._grpc_sockets:
            reserved.close()


def _address(reserved: socket.socket) -> str:
    if reserved.family == socket.AF_UNIX:
        return f"unix:{reserved.getsockname()}"
    host, port = reserved.getsockname()[:2]
    return f"[{host}]:{port}" if reserved.family == socket.AF_INET6 else f"{host}:{port}"


class _Methods(grpc.GenericRpcHandler):
    """What each method does, from bytes to bytes: what cannot be parsed is then ours to answer.

    All of them are streams to grpcio, which is the same on the wire: it would leave a unary call without a whole message
    unanswered.
    """

    def __init__(self, answers: Answers, health: HealthService, reflection: ReflectionService) -> None:
        self._answers = answers
        self._health = health
        self._reflection = reflection
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            POLL: grpc.stream_unary_rpc_method_handler(self._poll),
            HEALTH_CHECK: grpc.stream_unary_rpc_method_handler(self._check),
            HEALTH_WATCH: grpc.stream_stream_rpc_method_handler(self._watch),
            REFLECT: grpc.stream_stream_rpc_method_handler(self._reflect),
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        return self._handlers.get(handler_call_details.method)

    async def _poll(self, requests: Requests, context: Context) -> bytes:
        try:
            return self._answers.message(await _first(requests, context))
        except BadPoll as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except NotReady as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))

    async def _check(self, requests: Requests, context: Context) -> bytes:
        response = self._health.check(await _parsed(HealthCheckRequest, await _first(requests, context), context))
        if response is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return response.SerializeToString()

    async def _watch(self, requests: Requests, context: Context) -> AsyncIterator[bytes]:
        request = await _parsed(HealthCheckRequest, await _first(requests, context), context)
        async for response in self._health.watch(request):
            yield response.SerializeToString()

    async def _reflect(self, requests: Requests, context: Context) -> AsyncIterator[bytes]:
        async def parsed() -> AsyncIterator[ServerReflectionRequest]:
            async for request in requests:
                yield await _parsed(ServerReflectionRequest, request, context)

        async for response in self._reflection.answers(parsed()):
            yield response.SerializeToString()


async def _first(requests: Requests, context: Context) -> bytes:
    try:
        return await anext(aiter(requests))
    except StopAsyncIteration:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the body ends within its message")


async def _parsed(message_type: type[Parsed], message: bytes, context: Context) -> Parsed:
    try:
        return message_type.FromString(message)
    except DecodeError:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the body is no {message_type.DESCRIPTOR.full_name} message")

"""A running poll server of each kind."""

import socket
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import grpc
import pytest

from sampling.catalog import Catalog
from sampling.pb.jaeger.api_v2.sampling_pb2 import SamplingStrategyParameters
from sampling.records import Change, Key, ServiceConfiguration, Stored, encode_record
from sampling.strategy import OperationStrategy, SamplingStrategy
from server.answers import Answers
from server.listeners import open_listener
from server.polls.asgi import AsgiPollServer
from server.polls.grpcio_server import GrpcioPollServer
from server.polls.interface import PollServer

POLL = "/jaeger.api_v2.SamplingManager/GetSamplingStrategy"
CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECT = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

SECONDS = 10.0
"""How long a test waits for what must happen."""


class Construct(Protocol):
    """How a poll server is constructed."""

    def __call__(
        self,
        answers: Answers,
        grpc_sockets: Sequence[socket.socket],
        http_sockets: Sequence[socket.socket],
        grace_seconds: float = ...,
    ) -> PollServer: ...


SERVERS: dict[str, Construct] = {"h2corn": AsgiPollServer, "grpcio": GrpcioPollServer}

EXEMPT = {"grpcio": ("Connect", "gRPC-Web", "gRPC and HTTP on one port")}
"""What a server need not do, and nothing else."""


class Polls:
    """A poll server on ports of its own, with a catalog behind it."""

    def __init__(self, construct: Construct, grace_seconds: float) -> None:
        self.answers = Answers()
        self.catalog = Catalog()
        sockets = open_listener("127.0.0.1", 0), open_listener("127.0.0.1", 0)
        self.grpc_port, self.http_port = (listener.getsockname()[1] for listener in sockets)
        self.server = construct(self.answers, sockets[:1], sockets[1:], grace_seconds)

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def configure(self, name: str, strategy: SamplingStrategy, *operations: OperationStrategy) -> None:
        """Change one service, and serve that."""
        record = Stored(1, "0" * 32, encode_record(ServiceConfiguration(strategy, operations)))
        self.catalog.apply([Change(Key("service", name), record)])
        self.answers.serve(self.catalog, [name])

    def channel(self, options: Sequence[tuple[str, int]] = ()) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(f"127.0.0.1:{self.grpc_port}", options=options)


async def call(channel: grpc.aio.Channel, method: str, message: bytes, compression: grpc.Compression | None = None) -> bytes:
    """The bytes that a real client gets for these."""
    unary = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
    return await unary(message, timeout=SECONDS, compression=compression)


async def poll(channel: grpc.aio.Channel, name: str, compression: grpc.Compression | None = None) -> bytes:
    """The bytes of the answer that a real client gets for a service."""
    return await call(channel, POLL, SamplingStrategyParameters(serviceName=name).SerializeToString(), compression)


async def failure(call: Awaitable[bytes]) -> tuple[grpc.StatusCode, str]:
    """The status that a call ends with, and its words."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value.code(), raised.value.details() or ""


@asynccontextmanager
async def running(construct: Construct, *, loaded: bool = True, grace_seconds: float = SECONDS) -> AsyncIterator[Polls]:
    """Start a poll server with an empty catalog, or with none, and stop it at the end."""
    polls = Polls(construct, grace_seconds)
    if loaded:
        polls.answers.serve(polls.catalog)
    await polls.server.start()
    try:
        yield polls
    finally:
        await polls.server.stop()

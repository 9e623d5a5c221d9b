"""A running poll server of each kind."""

import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path
from typing import Protocol

import grpc
import pytest
import trustme
from google.protobuf.message import Message
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from prometheus_client import CollectorRegistry, Counter

from sampling.catalog import Catalog
from sampling.pb.jaeger.api_v2.sampling_pb2 import SamplingStrategyParameters
from sampling.records import Change, Key, ServiceConfiguration, Stored, encode_record
from sampling.strategy import OperationStrategy, SamplingStrategy
from server.answers import Answers
from server.certificates import POLLS, Certificate
from server.listeners import open_listener
from server.polls.asgi import AsgiPollServer
from server.polls.grpcio_server import GrpcioPollServer
from server.polls.interface import PollServer
from server.polls.tls import TlsPollServer
from server.tls_files import TlsFiles
from server.tls_listener import Refusals
from tests.contract.polls.tls_tunnel import TlsTunnel

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


@cache
def authority() -> trustme.CA:
    return trustme.CA()


def _over_tls(
    construct: Construct,
    answers: Answers,
    grpc_sockets: Sequence[socket.socket],
    http_sockets: Sequence[socket.socket],
    grace_seconds: float = SECONDS,
) -> PollServer:
    with tempfile.TemporaryDirectory() as folder:
        cert, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
        issued = authority().issue_cert("127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(cert)
        issued.private_key_pem.write_to_path(key)
        certificate = Certificate(POLLS, TlsFiles("TEST_TLS", cert, key), ("h2", "http/1.1"))
        certificate.load()
    behind = partial(construct, answers, grace_seconds=grace_seconds)
    refusals = Refusals(Counter("refused", "Refused.", ["use"], registry=CollectorRegistry()))
    return TlsPollServer(behind, grpc_sockets, http_sockets, certificate, refusals)


SERVERS: dict[str, Construct] = {
    "h2corn": AsgiPollServer,
    "grpcio": GrpcioPollServer,
    "h2corn over TLS": partial(_over_tls, AsgiPollServer),
    "grpcio over TLS": partial(_over_tls, GrpcioPollServer),
}

EXEMPT = {name: ("Connect", "gRPC-Web", "gRPC and HTTP on one port") for name in SERVERS if name.startswith("grpcio")}
"""What a server need not do, and nothing else."""


class Polls:
    """A poll server on ports of its own, with a catalog behind it."""

    def __init__(self, construct: Construct, grace_seconds: float) -> None:
        self.answers = Answers()
        self.catalog = Catalog()
        sockets = open_listener("127.0.0.1", 0), open_listener("127.0.0.1", 0)
        self.ports = [int(listener.getsockname()[1]) for listener in sockets]
        self.grpc_port, self.http_port = self.ports
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


def reflection(channel: grpc.aio.Channel) -> "grpc.aio.StreamStreamCall[Message, ServerReflectionResponse]":
    """A stream of questions about what can be called, and their answers."""
    return channel.stream_stream(
        REFLECT,
        request_serializer=ServerReflectionRequest.SerializeToString,
        response_deserializer=ServerReflectionResponse.FromString,
    )(timeout=SECONDS)


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
    tunnels = await _tunnels(polls) if isinstance(polls.server, TlsPollServer) else []
    try:
        yield polls
    finally:
        await polls.server.stop()
        for tunnel in tunnels:
            await tunnel.close()


async def _tunnels(polls: Polls) -> list[TlsTunnel]:
    """Clients of the suite need not know that the server speaks TLS."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    tunnels = [TlsTunnel(context), TlsTunnel(context)]
    polls.grpc_port = await tunnels[0].open(polls.grpc_port)
    polls.http_port = await tunnels[1].open(polls.http_port)
    return tunnels

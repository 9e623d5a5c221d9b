"""Clients of every kind that poll through one address, never try again, and notice everything."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import monotonic
from typing import Any, Self

import grpc
import httpx

from sampling.pb.jaeger.api_v2.sampling_pb2 import SamplingStrategyParameters, SamplingStrategyResponse
from tests.e2e.certificates import Authority
from tests.e2e.replica import PLAIN

DEADLINE_SECONDS = 1.0
"""Within which every poll is answered, on a machine that lets clients and replicas run."""

GIVE_UP_SECONDS = 5.0
"""When a client does not wait any longer: that is a failure on every machine."""

KEPT_GRPC = "gRPC on kept connections"

Ask = Callable[[str], Awaitable[float]]
"""Polls for a service; its probability."""

Check = Callable[[str, float, float], str | None]
"""What is wrong with an answer, if anything: service, probability, and when it was asked for (``monotonic``)."""


class PollLoad:
    """About 200 polls a second from 56 clients: gRPC and HTTP, on connections that are kept and on a new one for each poll.

    What a client library does by itself, such as a new connection after a GOAWAY, is the client's. Nothing else is repeated.
    """

    def __init__(
        self, grpc_address: str, http_address: str, services: list[str], check: Check, authority: Authority | None = None
    ) -> None:
        """Polls over TLS where an authority is to be trusted."""
        self.failures: list[str] = []
        self.cancelled = 0
        """gRPC polls on kept connections that the server cancelled; they are no failures here."""
        self._grpc_address, self._http_address = grpc_address, http_address
        self._credentials = None if authority is None else authority.channel_credentials()
        self._trust = PLAIN if authority is None else {"verify": authority.context()}
        self._http_scheme = "http" if authority is None else "https"
        self._services = itertools.cycle(services)
        self._check = check
        self._slowest: dict[str, float] = {}
        self._polls: Counter[str] = Counter()
        self._started = self._latest = 0.0
        self._stopping = asyncio.Event()
        self._clients: list[asyncio.Task[None]] = []

    @property
    def count(self) -> int:
        return self._polls.total()

    @property
    def per_second(self) -> float:
        return self.count / (monotonic() - self._started)

    @property
    def in_time(self) -> bool:
        """Whether every poll was answered in its time. A busy machine, which makes the clients themselves late, gives more."""
        return max(self._slowest.values()) < DEADLINE_SECONDS + 5 * self._latest

    def report(self) -> str:
        """What the clients saw."""
        lines = [f"{kind}: {count} polls, slowest {self._slowest[kind] * 1000:.0f} ms" for kind, count in self._polls.items()]
        lines.append(f"the clients themselves were late by up to {self._latest * 1000:.0f} ms")
        return "\n".join(
            [
                f"{self.count} polls, {self.per_second:.0f} a second, {len(self.failures)} failed, {self.cancelled} cancelled",
                *lines,
            ]
        )

    async def __aenter__(self) -> Self:
        self._started = monotonic()
        self._clients.append(asyncio.create_task(self._notice_lateness()))
        for kind, client, clients, per_second in (
            (KEPT_GRPC, self._kept_grpc, 20, 3.0),
            ("gRPC on new connections", self._new_grpc, 8, 5.0),
            ("HTTP on kept connections", self._kept_http, 20, 3.0),
            ("HTTP on new connections", self._new_http, 8, 5.0),
        ):
            for number in range(clients):
                wait = number / clients / per_second
                self._clients.append(asyncio.create_task(self._run(kind, client(), 1 / per_second, wait)))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        await asyncio.gather(*self._clients)

    async def _notice_lateness(self) -> None:
        """How long this process itself was kept from running: all of its clients waited so long for nobody."""
        while not self._stopping.is_set():
            due = monotonic() + 0.01
            await asyncio.sleep(0.01)
            self._latest = max(self._latest, monotonic() - due)

    async def _run(self, kind: str, client: AbstractAsyncContextManager[Ask], interval: float, wait: float) -> None:
        """A poll that took long does not make the next one late."""
        async with client as ask:
            for number in itertools.count():
                due = self._started + wait + number * interval
                try:
                    async with asyncio.timeout(max(due - monotonic(), 0)):
                        await self._stopping.wait()
                    return
                except TimeoutError:
                    await self._poll(kind, ask)

    async def _poll(self, kind: str, ask: Ask) -> None:
        service = next(self._services)
        asked = monotonic()
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                problem = self._check(service, await ask(service), asked)
        except (grpc.aio.AioRpcError, httpx.HTTPError, TimeoutError) as error:
            problem = repr(error)
            if isinstance(error, grpc.aio.AioRpcError) and error.code() == grpc.StatusCode.CANCELLED and kind == KEPT_GRPC:
                self.cancelled += 1
                problem = None
        now = monotonic()
        if problem is not None:
            self.failures.append(f"after {now - self._started:.2f} s, {(now - asked) * 1000:.0f} ms: {kind}: {problem}")
        self._polls[kind] += 1
        self._slowest[kind] = max(self._slowest.get(kind, 0), now - asked)

    @asynccontextmanager
    async def _kept_grpc(self) -> AsyncIterator[Ask]:
        async with self._channel() as channel:
            yield _asking(channel)

    @asynccontextmanager
    async def _new_grpc(self) -> AsyncIterator[Ask]:
        async def ask(service: str) -> float:
            async with self._channel() as channel:
                return await _asking(channel)(service)

        yield ask

    @asynccontextmanager
    async def _kept_http(self) -> AsyncIterator[Ask]:
        async with self._http(httpx.Limits(max_connections=1)) as ask:
            yield ask

    @asynccontextmanager
    async def _new_http(self) -> AsyncIterator[Ask]:
        async with self._http(httpx.Limits(max_keepalive_connections=0)) as ask:
            yield ask

    def _channel(self) -> grpc.aio.Channel:
        # Otherwise all channels of this process would share one connection.
        options = [("grpc.use_local_subchannel_pool", 1)]
        if self._credentials is None:
            return grpc.aio.insecure_channel(self._grpc_address, options=options)
        return grpc.aio.secure_channel(self._grpc_address, self._credentials, options=options)

    @asynccontextmanager
    async def _http(self, limits: httpx.Limits) -> AsyncIterator[Ask]:
        async with httpx.AsyncClient(limits=limits, timeout=GIVE_UP_SECONDS, **self._trust) as client:

            async def ask(service: str) -> float:
                response = await client.get(f"{self._http_scheme}://{self._http_address}/sampling", params={"service": service})
                response.raise_for_status()
                answer: dict[str, Any] = json.loads(response.content)
                return float(answer["probabilisticSampling"]["samplingRate"])

            yield ask


def _asking(channel: grpc.aio.Channel) -> Ask:
    method = channel.unary_unary(
        "/jaeger.api_v2.SamplingManager/GetSamplingStrategy",
        request_serializer=SamplingStrategyParameters.SerializeToString,
        response_deserializer=SamplingStrategyResponse.FromString,
    )

    async def ask(service: str) -> float:
        response = await method(SamplingStrategyParameters(serviceName=service), timeout=GIVE_UP_SECONDS)
        return response.probabilisticSampling.samplingRate

    return ask

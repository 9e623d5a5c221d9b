"""A network in front of replicas that behaves as a Service of Kubernetes does."""

import asyncio
import random
from collections.abc import Mapping
from contextlib import closing, suppress
from typing import Self

import httpx

from tests.e2e.replica import PLAIN, Replica
from tests.services.local_server import free_port
from tests.waiting import until

PROBE_SECONDS = 1.0
"""Between two questions whether an endpoint is ready."""

PROPAGATION_SECONDS = 1.0
"""Until the network knows what a probe found. So new connections go to a stopping endpoint for one to two seconds more."""

PORTS = {"grpc": "GRPC_PORTS", "http": "HTTP_PORTS", "sidecar": "SIDECAR_PORT"}


class Endpoint:
    """A replica as the network sees it."""

    def __init__(self, replica: Replica) -> None:
        environment = replica.environment
        self.ports: Mapping[str, int] = {
            name: int(environment[f"TRACING_CONFIG_{setting}"].split(",")[0]) for name, setting in PORTS.items()
        }
        self.readiness_url = f"{replica.sidecar_url}/actuator/health/readiness"
        self.ready = False
        """Whether new connections are sent there."""
        self.connections = 0
        """How many are open now."""


class ServiceProxy:
    """Sends each new connection to any of the ready endpoints. Open ones stay where they are until somebody ends them.

    It knows nothing of what is said on a connection: an end or a reset is passed on, and nothing is tried again.
    """

    def __init__(self) -> None:
        self.ports = {name: free_port() for name in PORTS}
        self._endpoints: dict[Endpoint, asyncio.Task[None]] = {}
        self._listening: list[asyncio.Server] = []
        self._links: set[asyncio.Task[None]] = set()

    def address(self, port: str) -> str:
        return f"127.0.0.1:{self.ports[port]}"

    def add(self, replica: Replica) -> Endpoint:
        """Probe a replica from now on, and let connections in while it is ready."""
        endpoint = Endpoint(replica)
        self._endpoints[endpoint] = asyncio.create_task(self._probe(endpoint))
        return endpoint

    async def until_ready(self, endpoint: Endpoint) -> None:
        """Wait until new connections are sent to an endpoint."""
        await until(lambda: endpoint.ready, 20)

    def remove(self, endpoint: Endpoint) -> None:
        """Forget an endpoint whose process is gone."""
        self._endpoints.pop(endpoint).cancel()

    async def __aenter__(self) -> Self:
        for name, port in self.ports.items():

            async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str = name) -> None:
                link = asyncio.current_task()
                assert link is not None
                self._links.add(link)
                link.add_done_callback(self._links.discard)
                with suppress(asyncio.CancelledError), closing(writer):  # asyncio would report a cancellation as a failure.
                    await self._connect(name, reader, writer)

            self._listening.append(await asyncio.start_server(connect, "127.0.0.1", port, backlog=1024))
        return self

    async def __aexit__(self, *_: object) -> None:
        for listening in self._listening:
            listening.close()
        tasks = [*self._endpoints.values(), *self._links]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _probe(self, endpoint: Endpoint) -> None:
        async with httpx.AsyncClient(
            timeout=PROBE_SECONDS, limits=httpx.Limits(max_keepalive_connections=0), **PLAIN
        ) as client:
            while True:
                try:
                    ready = (await client.get(endpoint.readiness_url)).status_code == 200
                except httpx.TimeoutException:
                    ready = endpoint.ready  # Kubernetes, too, lets one answer be late.
                except httpx.TransportError:
                    ready = False
                if ready != endpoint.ready:
                    await asyncio.sleep(PROPAGATION_SECONDS)
                    endpoint.ready = ready
                await asyncio.sleep(PROBE_SECONDS)

    async def _connect(self, port: str, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        ready = [endpoint for endpoint in self._endpoints if endpoint.ready]
        if not ready:
            client.transport.abort()
            return
        endpoint = random.choice(ready)
        try:
            server_reader, server = await asyncio.open_connection("127.0.0.1", endpoint.ports[port])
        except OSError:
            client.transport.abort()
            return
        endpoint.connections += 1
        try:
            await asyncio.gather(_forward(client_reader, server), _forward(server_reader, client))
        finally:
            endpoint.connections -= 1
            for writer in (client, server):
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
        if not writer.is_closing():
            writer.write_eof()
    except OSError:
        writer.transport.abort()

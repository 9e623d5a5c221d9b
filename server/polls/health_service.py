"""The health that gRPC clients and load balancers ask for (``grpc.health.v1``), the same on every poll server."""

import asyncio
from collections.abc import AsyncIterator

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from server.polls.services import SAMPLING

KNOWN = ("", SAMPLING)
"""What may be asked for; the empty name is the server as a whole."""


class HealthService:
    """Whether clients should come here, as an answer and as a stream of changes."""

    def __init__(self) -> None:
        self._serving = False
        self._closed = False
        self._changed = asyncio.Event()

    def set_serving(self, serving: bool) -> None:
        """Tell this from now on."""
        self._serving = serving
        self._changed.set()
        self._changed = asyncio.Event()

    def close(self) -> None:
        """Say that nothing is served, then end every open stream: a graceful stop would wait for them."""
        self._closed = True
        self.set_serving(False)

    def check(self, request: HealthCheckRequest) -> HealthCheckResponse | None:
        """The answer to one question; None for a service that is not ours."""
        if request.service not in KNOWN:
            return None
        status = HealthCheckResponse.SERVING if self._serving else HealthCheckResponse.NOT_SERVING
        return HealthCheckResponse(status=status)

    async def watch(self, request: HealthCheckRequest) -> AsyncIterator[HealthCheckResponse]:
        """The answer now and whenever it is another; a service that is not ours stays unknown."""
        last = None
        while True:
            changed = self._changed
            answer = self.check(request) or HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN)
            if answer != last:
                last = answer
                yield answer
            if self._closed and changed is self._changed:
                return
            await changed.wait()

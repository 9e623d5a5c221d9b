"""The server polls itself as a client does, so that the latency of polls is known without a clock on their path.

What is measured is the time from sending a request on a new connection to its own socket until the whole answer is there: all
that keeps the event loop from polls is in it, and so is the poll server. The network is not, and TLS is not: where polls come
over TLS, the connection is one to the poll server behind its end, since no client's certificate is at hand.
"""

import asyncio
from collections.abc import Callable, Mapping

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from server.polls.interface import Address
from server.polls.own_poll import POLLS, OwnPollFailed

SECONDS = 10.0
"""Between two rounds, each with a poll over each protocol."""

LIMIT_SECONDS = 2.0
"""For connecting and the whole answer."""

LOOK_SECONDS = 0.5
"""So soon after the server is ready it polls itself for the first time."""

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)

_log = structlog.get_logger(__name__)


class SelfPoll:
    """Polls while the server is ready. Its polls are not among those that ``Answers`` counts and remembers."""

    def __init__(
        self,
        registry: CollectorRegistry,
        service: str,
        ready: Callable[[], bool],
        addresses: Callable[[], Mapping[str, Address]],
        seconds: float = SECONDS,
    ) -> None:
        """``service`` is the name that is polled, ``addresses`` tells by protocol where, once the poll server has started."""
        self._service, self._ready, self._addresses, self._seconds = service, ready, addresses, seconds
        took = Histogram(
            "tracing_config_self_poll_seconds",
            "Time of a poll that the server sends to itself, without TLS.",
            ["protocol"],
            buckets=BUCKETS,
            registry=registry,
        )
        failures = Counter(
            "tracing_config_self_poll_failures",
            "Polls that the server sent to itself and that were not answered as they should within two seconds.",
            ["protocol"],
            registry=registry,
        )
        self._took = {protocol: took.labels(protocol) for protocol in POLLS}
        self._failures = {protocol: failures.labels(protocol) for protocol in POLLS}
        self._failing: set[str] = set()

    async def run(self) -> None:
        """Poll again and again, for ever."""
        while True:
            if self._ready():
                for protocol, address in self._addresses().items():
                    await self._poll(protocol, address)
                await asyncio.sleep(self._seconds)
            else:
                await asyncio.sleep(min(LOOK_SECONDS, self._seconds))

    async def _poll(self, protocol: str, address: Address) -> None:
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                self._took[protocol].observe(await POLLS[protocol](address, self._service))
        except TimeoutError:
            self._failed(protocol, f"no answer within {LIMIT_SECONDS:g} s")
        except (OwnPollFailed, OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            self._failed(protocol, str(error))
        else:
            if protocol in self._failing:
                self._failing.discard(protocol)
                _log.info("the server answers its own polls again", protocol=protocol)

    def _failed(self, protocol: str, reason: str) -> None:
        if not self._ready():  # It is being stopped.
            return
        self._failures[protocol].inc()
        if protocol not in self._failing:
            self._failing.add(protocol)
            _log.error("the server does not answer its own polls as it should", protocol=protocol, reason=reason)

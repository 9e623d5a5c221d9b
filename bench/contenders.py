"""The servers that are compared: ours, a plain ASGI application on the same h2corn, and a plain grpc.aio server."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import grpc
import httpx

from bench.answer import Answer
from bench.fleet import Fleet
from bench.processes import PlainServer, replica_on_port

OURS, ASGI, GRPC_AIO = "ours", "plain ASGI", "grpc.aio"


class Contender(NamedTuple):
    """A running server."""

    name: str
    pid: int
    port: int

    def check(self, answer: Answer) -> None:
        """See with real clients that it gives this answer.

        Raises:
            WrongAnswer: it does not.
        """
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            answer.check_grpc(channel)
        if self.name != GRPC_AIO:
            with httpx.Client(base_url=f"http://127.0.0.1:{self.port}") as client:
                answer.check_http(client)


@contextmanager
def contenders(folder: Path, fleet: Fleet) -> Iterator[list[Contender]]:
    """Start one of each: ours with the fleet in its strategies file, the plain ones with the answer of its first service."""
    folder.mkdir()
    strategies = folder / "strategies.json"
    strategies.write_bytes(fleet.strategies_file())
    answer = fleet.answer(0)
    with ExitStack() as stack:
        replica, port = replica_on_port(folder / "data", TRACING_CONFIG_STRATEGIES_FILE=str(strategies))
        stack.enter_context(replica)
        asgi = stack.enter_context(PlainServer("bench.plain_asgi", answer))
        grpc_aio = stack.enter_context(PlainServer("bench.plain_grpc", answer))
        started = [
            Contender(OURS, replica.pid, port),
            Contender(ASGI, asgi.pid, asgi.port),
            Contender(GRPC_AIO, grpc_aio.pid, grpc_aio.port),
        ]
        for contender in started:
            contender.check(answer)
        yield started
        for contender in started:
            contender.check(answer)

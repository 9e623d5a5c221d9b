"""Processor time per poll of our server and of what it is compared with, measured in turn."""

import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

from bench import h2load
from bench.contenders import ASGI, GRPC_AIO, OURS, Contender, contenders
from bench.fleet import Fleet
from bench.processes import processor_seconds
from bench.table import Table

FLEETS = {0: Fleet(1000), 30: Fleet(1000, operations=30)}
"""What our servers know, by the number of operations of each service. HTTP polls ask for all services in turn."""

FIRST_REQUESTS, MOST_REQUESTS = 3_000, 60_000
"""The first run, which tells the rate, and the bound for the others."""


class Case(NamedTuple):
    """One kind of load."""

    name: str
    protocol: str
    options: tuple[str, ...]
    """Of h2load."""
    operations: int = 0
    """How many operations are in the answer."""
    most_requests: int = MOST_REQUESTS


CASES = (
    Case("gRPC, 10 connections", "gRPC", ("-c", "10")),
    Case("gRPC, 100 connections", "gRPC", ("-c", "100")),
    Case("gRPC, 10 connections x 10 streams", "gRPC", ("-c", "10", "-m", "10")),
    Case("gRPC, 10 connections, 30 operations", "gRPC", ("-c", "10"), operations=30),
    Case("HTTP, 10 connections", "HTTP", ("-c", "10")),
    # Each leaves a socket behind for a minute, and a port of 28,000 with it.
    Case("HTTP, a connection for each poll", "HTTP", ("-c", "10", "-H", "connection: close"), most_requests=1_500),
    Case("HTTP, 10 connections, 30 operations", "HTTP", ("-c", "10"), operations=30),
)


class Measured:
    """One case at one server."""

    def __init__(self, case: Case, contender: Contender) -> None:
        self.name = contender.name
        self.microseconds: list[float] = []
        """Processor time per poll, one for each round."""
        self._case, self._contender = case, contender
        self._requests = min(FIRST_REQUESTS, case.most_requests)

    def measure(self, folder: Path, round_number: int, seconds: float) -> None:
        """Load the server for about so long. The first time, when the rate is not known yet, does not count."""
        before = processor_seconds(self._contender.pid)
        rate = self._load(folder, round_number)
        used = processor_seconds(self._contender.pid) - before
        if round_number > 0:
            self.microseconds.append(used / self._requests * 1e6)
        else:
            self._requests = min(self._case.most_requests, max(100, int(rate * seconds)))

    def _load(self, folder: Path, round_number: int) -> float:
        fleet = FLEETS[self._case.operations]
        if self._case.protocol == "HTTP":
            paths = folder / "paths"
            paths.write_text("".join(f"/sampling?{urlencode({'service': fleet.name(i)})}\n" for i in range(fleet.services)))
            return h2load.run(h2load.http_load(self._contender.port, self._case.options, paths), self._requests)
        # The plain servers answer to every name with a message of the same size.
        answer = fleet.answer(round_number)
        request = folder / "request"
        request.write_bytes(answer.request)
        arguments = h2load.grpc_load(self._contender.port, self._case.options, request)
        return h2load.run(arguments, self._requests, len(answer.framed))


def compare(folder: Path, rounds: int, seconds: float) -> Table:
    """Load every server with every case in turn, ``rounds`` times for about ``seconds`` each."""
    with ExitStack() as stack:
        servers = {count: stack.enter_context(contenders(folder / str(count), fleet)) for count, fleet in FLEETS.items()}
        measured = {
            case: [
                Measured(case, contender)
                for contender in servers[case.operations]
                if case.protocol == "gRPC" or contender.name != GRPC_AIO
            ]
            for case in CASES
        }
        for number in range(rounds + 1):
            print(f"polls: round {number} of {rounds}" if number else "polls: warming up", file=sys.stderr, flush=True)
            for one_case in measured.values():
                # Each round begins with another server, so that none is always the one after a slow one.
                for index in range(len(one_case)):
                    one_case[(index + number) % len(one_case)].measure(folder, number, seconds)
    return _table(measured)


def _table(measured: dict[Case, list[Measured]]) -> Table:
    title = "Processor time per poll: medians, and the median of the ratios of each round (its quartiles)"
    table = Table(title, "", OURS, ASGI, GRPC_AIO, f"ours/{ASGI}", f"ours/{GRPC_AIO}")
    for case, one_case in measured.items():
        by_name = {one.name: one.microseconds for one in one_case}
        medians = [f"{statistics.median(by_name[name]):.1f} µs" if name in by_name else "" for name in (OURS, ASGI, GRPC_AIO)]
        ratios = [_ratio(by_name[OURS], by_name[name]) if name in by_name else "" for name in (ASGI, GRPC_AIO)]
        table.add(case.name, *medians, *ratios)
    return table


def _ratio(ours: Sequence[float], others: Sequence[float]) -> str:
    ratios = [mine / its for mine, its in zip(ours, others, strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return f"{median:.2f} ({low:.2f}-{high:.2f})"

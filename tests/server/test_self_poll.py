"""The server that polls itself: what it measures, and what it says when it is not answered."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

import server.self_poll
from server.listeners import open_listener, own_address
from server.polls.asgi import AsgiPollServer
from server.polls.interface import Address
from server.self_poll import SelfPoll
from tests.contract.polls.servers import Polls, running
from tests.e2e.command_line import closed_port
from tests.waiting import until

PROTOCOLS = ("grpc", "http")


class Watched:
    """The metrics of a server that polls itself without a pause."""

    def __init__(self, addresses: Mapping[str, Address]) -> None:
        self.addresses, self.ready = addresses, True
        self.registry = CollectorRegistry()
        self.poll = SelfPoll(self.registry, "own", lambda: self.ready, lambda: self.addresses, seconds=0.005)

    def count(self, name: str, protocol: str) -> float:
        return self.registry.get_sample_value(f"tracing_config_self_poll_{name}", {"protocol": protocol}) or 0

    def failures(self) -> list[float]:
        return [self.count("failures_total", protocol) for protocol in PROTOCOLS]

    def answers(self) -> list[float]:
        return [self.count("seconds_count", protocol) for protocol in PROTOCOLS]


@asynccontextmanager
async def watched(addresses: Mapping[str, Address]) -> AsyncIterator[Watched]:
    watched = Watched(addresses)
    task = asyncio.create_task(watched.poll.run())
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def polls() -> AsyncIterator[Polls]:
    async with running(AsgiPollServer) as polls:
        yield polls


async def test_both_protocols_are_measured_again_and_again(polls: Polls) -> None:
    async with watched(polls.server.own_addresses()) as it:
        await until(lambda: min(it.answers()) >= 3)
        assert it.failures() == [0, 0]
        assert 0 < it.count("seconds_sum", "http") < 60


async def test_nobody_is_polled_before_the_server_is_ready_or_when_it_stops(polls: Polls) -> None:
    async with watched(polls.server.own_addresses()) as it:
        await until(lambda: min(it.answers()) >= 1)
        it.ready, it.addresses = False, dict.fromkeys(PROTOCOLS, ("127.0.0.1", closed_port()))
        before = it.answers()
        await asyncio.sleep(0.05)  # Nothing happens, which nothing tells.
        assert [now - then <= 1 for now, then in zip(it.answers(), before, strict=True)] == [True, True]
        assert it.failures() == [0, 0]


async def test_one_line_tells_that_nothing_is_answered_and_one_that_it_is_again(polls: Polls) -> None:
    nobody = ("127.0.0.1", closed_port())
    with capture_logs() as lines:
        async with watched({"http": nobody, "grpc": polls.server.own_addresses()["grpc"]}) as it:
            await until(lambda: it.count("failures_total", "http") >= 3)
            it.addresses = polls.server.own_addresses()
            await until(lambda: it.count("seconds_count", "http") >= 1)
    assert [(line["event"], line["log_level"], line["protocol"]) for line in lines] == [
        ("the server does not answer its own polls as it should", "error", "http"),
        ("the server answers its own polls again", "info", "http"),
    ]
    assert it.count("failures_total", "grpc") == 0


async def test_a_server_that_hangs_is_waited_for_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.self_poll, "LIMIT_SECONDS", 0.01)
    with open_listener("127.0.0.1", 0) as listener, capture_logs() as lines:
        listener.listen()  # The kernel lets connections in, and nobody takes them.
        async with watched(dict.fromkeys(PROTOCOLS, own_address(listener))) as it:
            await until(lambda: min(it.failures()) >= 2)
    assert {line["reason"] for line in lines} == {"no answer within 0.01 s"}


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"\0" * 64, b"HTTP/1.1 503 x\r\n\r\n", b"x" * 200_000])
async def test_what_is_no_answer_is_a_failure(said: bytes) -> None:
    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    somebody = await asyncio.start_server(say, "127.0.0.1", 0)
    async with somebody, watched(dict.fromkeys(PROTOCOLS, own_address(somebody.sockets[0]))) as it:
        await until(lambda: min(it.failures()) >= 1)
        assert it.answers() == [0, 0]


def test_a_server_on_every_address_is_reached_on_the_loopback() -> None:
    for host in ("0.0.0.0", "::"):
        with open_listener(host, 0) as listener:
            assert own_address(listener) == ("127.0.0.1", listener.getsockname()[1])
    with open_listener("127.0.0.2", 0) as listener:
        assert own_address(listener) == ("127.0.0.2", listener.getsockname()[1])

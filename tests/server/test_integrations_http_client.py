"""The door to other servers: whatever is behind it, a request ends in time, and with an answer or a reason."""

import asyncio
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator
from time import monotonic

import pytest
import uvloop

from server.integrations.http_client import HttpClient, Unusable, json_object
from tests.services.http_stand_in import FAULTS, Fault, Reply, Request, StandIn

REASONS: dict[Fault, str] = {
    "hang": "did not answer within 0.5 s",
    "error": 'answers 500: {"error": "out of order"}',
    "nonsense": "something else than a JSON object",
    "no-http": "speaks no HTTP",
    "redirect": "redirects to",
    "huge": "answers more than 65536 bytes",
    "slow": "did not answer within 0.5 s",
}


@pytest.fixture
def other() -> StandIn:
    return StandIn(lambda _: Reply(200, b'{"well": true}'))


@pytest.fixture
async def client(other: StandIn) -> AsyncIterator[HttpClient]:
    with other:
        client = HttpClient(other.url)
        yield client
        await client.close()


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_server_that_misbehaves_is_a_reason_in_bounded_time_and_the_next_request_can_succeed(
    client: HttpClient, other: StandIn, fault: Fault
) -> None:
    other.fault = fault
    with StandIn(lambda _: Reply(200, b'{"well": true}')) as elsewhere:
        other.redirect_to = elsewhere.url
        started = monotonic()
        with pytest.raises(Unusable) as error:
            json_object(await client.request("GET", "/", seconds=0.5), "stand-in")
        assert monotonic() - started < 3
        assert REASONS[fault] in str(error.value)
        assert not elsewhere.requests
    assert other.sent < 64 * 1024 * 1024
    other.fault = None
    assert json_object(await client.request("GET", "/"), "stand-in") == {"well": True}


async def test_a_closed_port_and_an_unknown_name_are_told_apart(client: HttpClient, other: StandIn) -> None:
    other.stop()
    with pytest.raises(Unusable, match="connection refused"):
        await client.request("GET", "/")
    nowhere = HttpClient("http://nowhere.invalid")
    with pytest.raises(Unusable, match="its name is not known"):
        await nowhere.request("GET", "/", seconds=10)
    await nowhere.close()


async def test_a_compressed_answer_is_refused_unread() -> None:
    with StandIn(lambda _: Reply(200, b"\x1f\x8b", headers={"Content-Encoding": "gzip"})) as other:
        client = HttpClient(other.url)
        with pytest.raises(Unusable, match="compresses"):
            await client.request("GET", "/")
        await client.close()


async def test_user_and_password_of_the_address_are_sent_and_never_told() -> None:
    def reply(request: Request) -> Reply:
        asked = request.headers.get("authorization")
        return Reply(200 if asked == "Basic dXNlcjpodW50OmVyMg==" else 401, b"{}")

    with StandIn(reply) as other:
        client = HttpClient(other.url.replace("//", "//user:hunt%3Aer2@") + "/base/")
        await client.request("GET", "/path")
        assert other.requests[0].path == "/base/path"
        assert "hunt" not in client.url
        other.fault = "redirect"
        other.redirect_to = other.url.replace("//", "//user:hunter2@")
        with pytest.raises(Unusable) as error:
            await client.request("GET", "/path")
        assert "hunter2" not in str(error.value)
        await client.close()


async def test_what_a_server_says_cannot_write_on_a_terminal() -> None:
    with StandIn(lambda _: Reply(503, "\x1b[31mred\nsecond line\x9b".encode() + b"x" * 5000)) as other:
        client = HttpClient(other.url)
        with pytest.raises(Unusable) as error:
            await client.request("GET", "/")
        assert str(error.value).isprintable()
        assert len(str(error.value)) < 300
        await client.close()


async def test_plain_http_behind_https_is_a_failure_of_tls(client: HttpClient, other: StandIn) -> None:
    secure = HttpClient(other.url.replace("http:", "https:"))
    with pytest.raises(Unusable, match="TLS failed"):
        await secure.request("GET", "/")
    await secure.close()


async def test_the_local_address_is_the_one_from_which_the_server_is_reached() -> None:
    for url, address in (("http://127.0.0.1:1", "127.0.0.1"), ("http://[::1]:1", "::1")):
        client = HttpClient(url)
        assert await client.local_address() == address
        await client.close()
    nowhere = HttpClient("http://nowhere.invalid")
    with pytest.raises(Unusable, match="its name is not known"):
        await nowhere.local_address()
    await nowhere.close()
    client = HttpClient("http://[::1]:1")
    with pytest.raises(Unusable, match="no IPv4 route"):  # It would be told to clients, and nobody listens there.
        await client.local_address(socket.AF_INET)
    await client.close()


def test_what_a_server_sends_without_end_is_taken_in_small_parts(other: StandIn) -> None:
    """The loop of the server takes all that came in at once: 100,000 interim answers held it for a second."""

    async def ask() -> int:
        client = HttpClient(other.url)
        tracemalloc.start()
        with pytest.raises(Unusable, match="did not answer"):
            await client.request("GET", "/", seconds=1)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await client.close()
        return peak

    other.fault = "interim"
    with other, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(ask()) < 8 * 1024 * 1024


async def test_a_connection_is_used_again_at_once_and_closed_before_the_other_end_forgets_it() -> None:
    connections = 0
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while (await reader.read(4096)) != b"":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        ended.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = HttpClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    for _ in range(2):
        await client.request("GET", "/")
    assert connections == 1
    await asyncio.wait_for(ended.wait(), 5)
    await client.close()
    server.close()


def test_a_name_server_that_hangs_holds_up_neither_the_next_request_nor_the_end_of_the_process() -> None:
    """In a process of its own: the system's look-up cannot be made to hang but by replacing it."""
    program = """
import asyncio, socket, threading, time
socket.getaddrinfo = lambda *_, **__: time.sleep(60)
from server.integrations.http_client import HttpClient, Unusable
async def ask():
    client = HttpClient("http://name.example")
    for _ in range(3):
        try:
            await client.request("GET", "/", seconds=0.1)
        except Unusable as error:
            print(error, threading.active_count())
    await client.close()
asyncio.run(ask())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    assert ended.stdout == "http://name.example did not answer within 0.1 s 2\n" * 3
    assert ended.stderr == ""

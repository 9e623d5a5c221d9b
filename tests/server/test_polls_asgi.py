"""What is particular to the poll server on h2corn; the rest is in tests/contract/polls."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from server.polls.asgi import AsgiPollServer
from tests.contract.polls.raw_http1 import RawHttp1
from tests.contract.polls.raw_http2 import GRPC_HEADERS, RawHttp2, frame
from tests.contract.polls.servers import CHECK, POLL, REFLECT, SECONDS, WATCH, Polls, running

NOT_TEXT = ("x-anything", b"\xff\xfe")
GRPC_TYPES = ("application/grpc", "application/grpc+proto", "application/grpc+json", "application/grpc+other")


@pytest.fixture
async def polls() -> AsyncIterator[Polls]:
    async with running(AsgiPollServer) as polls:
        yield polls


@pytest.mark.parametrize("path", [POLL, CHECK, "/other.Service/Method"])
async def test_grpc_from_a_client_that_takes_no_trailers_fails_with_the_cure(polls: Polls, path: str) -> None:
    async with RawHttp2.open(polls.grpc_port) as raw:
        headers, _ = await raw.response(raw.request(path, frame(b""), headers=(("content-type", "application/grpc"),)))

    assert headers["grpc-status"] == "13"
    assert "te%3A%20trailers" in headers["grpc-message"]


@pytest.mark.parametrize("path", [POLL, CHECK])
async def test_a_header_that_is_no_text_is_ignored(polls: Polls, path: str) -> None:
    async with RawHttp2.open(polls.grpc_port) as raw:
        grpc, _ = await raw.response(raw.request(path, frame(b""), headers=(*GRPC_HEADERS, NOT_TEXT)))
        connect, _ = await raw.response(raw.request(path, b"{}", headers=(("content-type", "application/json"), NOT_TEXT)))

    assert (grpc["grpc-status"], connect[":status"]) == ("0", "200")


async def test_two_messages_in_one_poll_are_refused(polls: Polls) -> None:
    async with RawHttp2.open(polls.grpc_port) as raw:
        headers, _ = await raw.response(raw.request(POLL, 2 * frame(b"\x0a\x04shop")))

    assert headers["grpc-status"] == "12"


async def test_a_websocket_is_refused(polls: Polls) -> None:
    async with RawHttp1.open(polls.http_port) as raw:
        status, _, _ = await raw.send(
            b"GET /sampling?service=shop HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGVzdCB0ZXN0IHRlc3QhIQ==\r\n\r\n"
        )

    assert status == 403


async def test_bad_requests_and_those_given_up_leave_no_line_on_stderr(polls: Polls, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    async with RawHttp1.open(polls.http_port) as http1:
        await http1.get(b"/" + b"x" * 20_000)
    async with RawHttp1.open(polls.http_port) as http1:
        http1.write(b"no HTTP\r\n\r\n")
        await http1.ended()
    for path in (POLL, CHECK, WATCH, REFLECT, "/other.Service/Method", "/"):
        async with RawHttp2.open(polls.grpc_port) as raw:
            for content_type in (*GRPC_TYPES, "application/grpc-web", "application/json", "", "other"):
                headers = (("content-type", content_type), ("te", "trailers"))
                for body in (b"", b"\1\2\3", frame(b"\xff"), b"\1" + frame(b"")[1:], b"x" * 1000):
                    await raw.response(raw.request(path, body, headers=(*headers, ("grpc-encoding", "x"), NOT_TEXT)))
                    await raw.response(raw.request(path, body, headers=(*headers, ("grpc-timeout", "x"))))
                    raw.reset(raw.request(path, body, headers=headers))
                    raw.reset(raw.request(path, body, headers=headers, end=False))
            await raw.response(raw.request(POLL, frame(b"")))
    await asyncio.wait_for(polls.server.stop(), SECONDS)

    assert capfd.readouterr().err == ""

"""What is particular to the poll server on grpcio; the rest is in tests/contract/polls."""

import logging
import socket

import grpc
import pytest

from server.answers import Answers
from server.listeners import CannotListen, open_listener
from server.polls.grpcio_server import GrpcioPollServer
from tests.contract.polls.raw_http1 import RawHttp1
from tests.contract.polls.servers import SECONDS, Polls, poll, running


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
async def test_every_form_of_an_address_is_listened_on(host: str) -> None:
    if ":" in host and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    polls = Polls(GrpcioPollServer, SECONDS)
    polls.answers.serve(polls.catalog)
    listener = open_listener(host, 0)
    server = GrpcioPollServer(polls.answers, [listener], [])
    await server.start()
    try:
        target = "[::1]" if ":" in host else "127.0.0.1"
        async with grpc.aio.insecure_channel(f"{target}:{listener.getsockname()[1]}") as channel:
            assert await poll(channel, "shop")
    finally:
        await server.stop()
        await polls.server.stop()


async def test_two_servers_never_share_a_port() -> None:
    """grpcio would do so by itself, and each would see some of the clients."""
    first, second = open_listener("127.0.0.1", 0), None
    port = first.getsockname()[1]
    second = open_listener("127.0.0.1", port)
    servers = [GrpcioPollServer(Answers(), [listener], []) for listener in (first, second)]
    try:
        await servers[0].start()
        with pytest.raises(CannotListen, match=f"port {port} of 127.0.0.1"):
            await servers[1].start()
    finally:
        for server in servers:
            await server.stop()


async def test_no_client_can_make_the_http_half_write_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with running(GrpcioPollServer) as polls:
            for request in (
                b"no HTTP\r\n\r\n",
                b"GET /\xff HTTP/1.1\r\n\r\n",
                b"\x16\x03\x01\r\n\r\n",
                b"GET / HTTP/1.1\r\n\r\n",
            ):
                async with RawHttp1.open(polls.http_port) as raw:
                    raw.write(request)
                    assert b"400" in await raw.ended()

    assert caplog.records == []

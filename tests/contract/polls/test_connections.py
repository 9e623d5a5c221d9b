"""Connections: kept while the server runs, ended in good order when it stops."""

import asyncio
import time
from contextlib import AsyncExitStack

import grpc
import h2.events
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from server.listeners import CannotListen, open_listener
from tests.contract.polls.raw_http1 import RawHttp1
from tests.contract.polls.raw_http2 import RawHttp2, frame
from tests.contract.polls.servers import POLL, SECONDS, SERVERS, WATCH, Construct, Polls, poll, reflection, running

DEFAULT_BYTES = bytes.fromhex("120909fca9f1d24d62503f")


async def test_pings_between_polls_do_not_end_a_connection() -> None:
    """As long as the clients' own timers make it: three pings take half a minute."""
    options = [
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]

    async def pinging(construct: Construct) -> None:
        async with running(construct) as polls, polls.channel(options) as channel:
            await poll(channel, "shop")
            changed = asyncio.ensure_future(channel.wait_for_state_change(grpc.ChannelConnectivity.READY))
            await asyncio.wait((changed,), timeout=35)
            assert not changed.done(), "the connection was lost"
            assert await poll(channel, "shop") == DEFAULT_BYTES
            changed.cancel()

    await asyncio.gather(*map(pinging, SERVERS.values()))


async def test_pings_in_quick_succession_do_not_end_a_connection(polls: Polls) -> None:
    async with RawHttp2.open(polls.grpc_port) as raw:
        for number in range(50):
            raw.connection.ping(number.to_bytes(8, "big"))
            raw.flush()
            await raw.until(lambda event: isinstance(event, h2.events.PingAckReceived))
        _, body = await raw.response(raw.request(POLL, frame(b"\x0a\x04shop")))

    assert body == frame(DEFAULT_BYTES)


async def test_a_stop_lets_a_poll_finish_that_is_under_way(construct: Construct) -> None:
    async with running(construct) as polls, RawHttp2.open(polls.grpc_port) as raw:
        body = frame(b"\x0a\x04shop")
        stream = raw.request(POLL, body[:3], end=False)
        # Polls are taken up in order, so this one's answer says that the other is under way.
        await raw.response(raw.request(POLL, body))

        stopping = asyncio.create_task(polls.server.stop())
        await raw.until(lambda event: isinstance(event, h2.events.ConnectionTerminated))
        assert not stopping.done()
        raw.send(stream, body[3:])

        headers, answer = await raw.response(stream)
        assert (headers["grpc-status"], answer) == ("0", frame(DEFAULT_BYTES))
        await asyncio.wait_for(stopping, SECONDS)


async def test_a_stop_waits_no_longer_than_its_grace_for_a_client_that_does_not_finish(construct: Construct) -> None:
    async with running(construct, grace_seconds=0.3) as polls, RawHttp2.open(polls.grpc_port) as raw:
        raw.request(POLL, b"\0\0", end=False)
        await raw.response(raw.request(POLL, frame(b"")))

        started = time.monotonic()
        await asyncio.wait_for(polls.server.stop(), SECONDS)
        assert time.monotonic() - started < 2


async def test_a_stop_tells_watching_clients_not_to_come_and_ends_every_stream(construct: Construct) -> None:
    async with running(construct) as polls, polls.channel() as channel:
        polls.server.set_serving(True)
        watch = channel.unary_stream(
            WATCH,
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )(HealthCheckRequest(), timeout=SECONDS)
        questions = reflection(channel)
        await questions.write(ServerReflectionRequest(list_services=""))
        assert await questions.read() is not grpc.aio.EOF
        assert await watch.read() == HealthCheckResponse(status=HealthCheckResponse.SERVING)

        started = time.monotonic()
        await polls.server.stop()

        assert time.monotonic() - started < SECONDS / 2
        assert await watch.read() == HealthCheckResponse(status=HealthCheckResponse.NOT_SERVING)
        assert await watch.read() is grpc.aio.EOF
        assert await questions.read() is grpc.aio.EOF


async def test_a_stop_waits_for_none_of_many_clients_that_leave_their_streams_open(construct: Construct) -> None:
    async with running(construct) as polls, AsyncExitStack() as connections:
        own_connection = [("grpc.use_local_subchannel_pool", 1)]
        streams = []
        for _ in range(20):
            channel = await connections.enter_async_context(polls.channel(own_connection))
            streams.append(reflection(channel))
            await streams[-1].write(ServerReflectionRequest(list_services=""))
            assert await streams[-1].read() is not grpc.aio.EOF

        started = time.monotonic()
        await polls.server.stop()

        assert time.monotonic() - started < SECONDS / 2
        for stream in streams:
            assert await stream.read() is grpc.aio.EOF


async def test_polls_of_a_server_that_is_leaving_end_their_http1_connections_and_say_so(polls: Polls) -> None:
    """Whoever polls while a server drains is gone before it closes what is left, where a poll may be on its way."""
    for serving, ends in ((True, False), (False, True), (True, False)):
        polls.server.set_serving(serving)
        for target in (b"/?service=shop", b"/?no=service"):
            async with RawHttp1.open(polls.http_port) as http:
                _, headers, _ = await http.get(target)
                assert (headers.get("connection", "").lower() == "close") == ends
                if ends:
                    assert await http.ended() == b""
                else:
                    await http.get(target)


async def test_polls_of_a_server_that_is_leaving_keep_their_http2_connection_until_the_stop(polls: Polls) -> None:
    polls.server.set_serving(False)
    async with RawHttp2.open(polls.grpc_port) as raw:
        for _ in range(2):
            headers, body = await raw.response(raw.request(POLL, frame(b"\x0a\x04shop")))
            assert (headers["grpc-status"], body) == ("0", frame(DEFAULT_BYTES))


async def test_a_stop_closes_idle_connections_and_lets_nobody_in(construct: Construct) -> None:
    async with (
        running(construct) as polls,
        RawHttp1.open(polls.http_port) as http,
        RawHttp2.open(polls.grpc_port) as raw,
    ):
        await http.get(b"/?service=shop")
        await raw.response(raw.request(POLL, frame(b"")))

        started = time.monotonic()
        stopping = asyncio.create_task(polls.server.stop())

        assert await http.ended() == b""
        await raw.until(lambda event: False)
        assert raw.ended
        await stopping
        assert time.monotonic() - started < SECONDS / 2
        for port in polls.ports:
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)


async def test_a_server_may_be_stopped_twice_and_without_a_start(construct: Construct) -> None:
    async with running(construct) as polls:
        await polls.server.stop()
        await polls.server.stop()
    never_started = Polls(construct, SECONDS)

    await never_started.server.stop()

    for port in (polls.http_port, polls.grpc_port, never_started.http_port, never_started.grpc_port):
        open_listener("127.0.0.1", port).close()


async def test_nobody_is_let_in_before_the_start(construct: Construct) -> None:
    polls = Polls(construct, SECONDS)
    try:
        for port in polls.ports:
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
    finally:
        await polls.server.stop()


async def test_the_ports_of_a_running_server_are_its_own(polls: Polls) -> None:
    for port in (polls.http_port, polls.grpc_port):
        with pytest.raises(CannotListen, match=f"port {port}"):
            open_listener("127.0.0.1", port)


async def test_a_port_that_another_program_took_in_the_meantime_stops_the_start(construct: Construct) -> None:
    polls = Polls(construct, SECONDS)
    try:
        for port in (polls.grpc_port, polls.http_port):
            other = open_listener("127.0.0.1", port)
            other.listen()
            with pytest.raises(CannotListen, match=f"port {port}"):
                await polls.server.start()
            other.close()
    finally:
        await polls.server.stop()

"""Polls over gRPC."""

import asyncio

import grpc
import pytest

from sampling.pb.jaeger.api_v2.sampling_pb2 import SamplingStrategyResponse
from sampling.strategy import OperationStrategy, SamplingStrategy
from tests.contract.polls.raw_http2 import RawHttp2, frame
from tests.contract.polls.servers import POLL, Construct, Polls, call, failure, poll, running

SEVEN = SamplingStrategy("ratelimiting", 7)
SEVEN_BYTES = bytes.fromhex("08011a020807")
DEFAULT_BYTES = bytes.fromhex("120909fca9f1d24d62503f")
"""Probabilistic 0.001."""

INVALID_ARGUMENT = "3"

NAMES = ["", "user-management", "zahlungsverkehr-ü", "支払い", "🦆", "a/b//c", "%41", "a+b", "a b", "a&b=c", "a#b", "n" * 1024]


@pytest.mark.parametrize(
    ("strategy", "operations", "expected"),
    [
        (SamplingStrategy("probabilistic", 0.5), (), "120909000000000000e03f"),
        (SamplingStrategy("probabilistic", 0), (), "1200"),
        (SamplingStrategy("ratelimiting", 42), (), "08011a02082a"),
        (
            SamplingStrategy("probabilistic", 0.5),
            (OperationStrategy("op0", 0.2), OperationStrategy("op6", 0), OperationStrategy("op7", 1)),
            (
                "120909000000000000e03f223609000000000000e03f1a100a036f70301209099a9999999999c93f"
                "1a070a036f703612001a100a036f7037120909000000000000f03f"
            ),
        ),
    ],
)
async def test_an_answer_has_the_bytes_of_the_protocol(
    polls: Polls, strategy: SamplingStrategy, operations: tuple[OperationStrategy, ...], expected: str
) -> None:
    polls.configure("shop", strategy, *operations)

    async with polls.channel() as channel:
        assert await poll(channel, "shop") == bytes.fromhex(expected)


@pytest.mark.parametrize("name", NAMES)
async def test_any_name_finds_its_own_strategy(polls: Polls, name: str) -> None:
    polls.configure(name, SEVEN)

    async with polls.channel() as channel:
        assert await poll(channel, name) == SEVEN_BYTES
        assert await poll(channel, name + "x") == DEFAULT_BYTES


@pytest.mark.parametrize("name", ["n" * 2048, "ü" * 1024])
async def test_a_name_of_2048_bytes_is_answered(polls: Polls, name: str) -> None:
    async with polls.channel() as channel:
        assert await poll(channel, name) == DEFAULT_BYTES


@pytest.mark.parametrize("name", ["n" * 2049, "ü" * 1025, "n" * 60_000])
async def test_a_longer_name_is_an_invalid_argument_that_says_so(polls: Polls, name: str) -> None:
    async with polls.channel() as channel:
        status, text = await failure(poll(channel, name))

    assert status is grpc.StatusCode.INVALID_ARGUMENT
    assert "2048 bytes" in text


async def test_a_change_is_in_the_very_next_answer(polls: Polls) -> None:
    async with polls.channel() as channel:
        assert await poll(channel, "shop") == DEFAULT_BYTES

        polls.configure("shop", SEVEN)

        assert await poll(channel, "shop") == SEVEN_BYTES


async def test_before_anything_is_loaded_polls_are_unavailable(construct: Construct) -> None:
    async with running(construct, loaded=False) as polls, polls.channel() as channel:
        assert await failure(poll(channel, "shop")) == (
            grpc.StatusCode.UNAVAILABLE,
            "no configuration is loaded yet; keep your strategy and ask again",
        )

        polls.configure("shop", SEVEN)

        assert await poll(channel, "shop") == SEVEN_BYTES


@pytest.mark.parametrize("name", ["shop", "n" * 2000])
async def test_a_gzip_compressed_poll_is_answered(polls: Polls, name: str) -> None:
    polls.configure(name, SEVEN)

    async with polls.channel() as channel:
        assert await poll(channel, name, grpc.Compression.Gzip) == SEVEN_BYTES


async def test_a_gzip_compressed_poll_with_a_bad_name_is_an_invalid_argument(polls: Polls) -> None:
    async with polls.channel() as channel:
        status, text = await failure(poll(channel, "n" * 3000, grpc.Compression.Gzip))

    assert status is grpc.StatusCode.INVALID_ARGUMENT
    assert "2048 bytes" in text


async def test_unknown_fields_are_ignored(polls: Polls) -> None:
    polls.configure("shop", SEVEN)
    # Field 2 as a number and field 9 as text, around the name.
    message = bytes.fromhex("1005") + b"\x0a\x04shop" + b"\x4a\x03new"

    async with polls.channel() as channel:
        assert await call(channel, POLL, message) == SEVEN_BYTES


@pytest.mark.parametrize("message", [b"\xff\xff\xff", b"\x0a\x09shop", b"\x0a\x01\xff", b"service=shop"])
async def test_what_is_not_the_message_is_an_invalid_argument_and_the_connection_stays(polls: Polls, message: bytes) -> None:
    async with RawHttp2.open(polls.grpc_port) as raw:
        headers, _ = await raw.response(raw.request(POLL, frame(message)))
        again, body = await raw.response(raw.request(POLL, frame(b"\x0a\x04shop")))

    assert headers["grpc-status"] == INVALID_ARGUMENT
    assert "message" in headers["grpc-message"]
    assert (again["grpc-status"], body) == ("0", frame(DEFAULT_BYTES))


@pytest.mark.parametrize("body", [b"", b"\0\0", b"\0\0\0\0\x06\x0a\x04sh"])
async def test_a_body_that_ends_within_its_message_is_an_invalid_argument_and_the_connection_stays(
    polls: Polls, body: bytes
) -> None:
    async with RawHttp2.open(polls.grpc_port) as raw:
        headers, _ = await raw.response(raw.request(POLL, body))
        again, _ = await raw.response(raw.request(POLL, frame(b"\x0a\x04shop")))

    assert headers["grpc-status"] == INVALID_ARGUMENT
    assert again["grpc-status"] == "0"


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_a_body_of_more_than_64_kib_is_refused_and_the_connection_stays(
    polls: Polls, compression: grpc.Compression
) -> None:
    async with polls.channel() as channel:
        status, text = await failure(poll(channel, "n" * 70_000, compression))
        again = await poll(channel, "shop")

    assert status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than" in text
    assert again == DEFAULT_BYTES


async def test_a_body_in_pieces_is_put_together(polls: Polls) -> None:
    polls.configure("shop", SEVEN)

    async with RawHttp2.open(polls.grpc_port) as raw:
        stream = raw.request(POLL, end=False)
        for byte in frame(b"\x0a\x04shop"):
            raw.send(stream, bytes((byte,)), end=False)
        raw.send(stream, b"")
        headers, body = await raw.response(stream)

    assert (headers["grpc-status"], body) == ("0", frame(SEVEN_BYTES))


@pytest.mark.parametrize("path", ["/jaeger.api_v2.SamplingManager/Other", "/other.Service/GetSamplingStrategy", "/"])
async def test_an_unknown_method_is_unimplemented(polls: Polls, path: str) -> None:
    async with polls.channel() as channel:
        status, _ = await failure(call(channel, path, b""))

    assert status is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("subtype", ["application/grpc", "application/grpc+proto"])
async def test_either_name_of_the_format_is_answered(polls: Polls, subtype: str) -> None:
    async with RawHttp2.open(polls.grpc_port) as raw:
        headers, body = await raw.response(
            raw.request(POLL, frame(b""), headers=(("content-type", subtype), ("te", "trailers")))
        )

    assert (headers["grpc-status"], body) == ("0", frame(DEFAULT_BYTES))


async def test_many_polls_at_once_on_one_connection_each_get_their_own_answer(polls: Polls) -> None:
    for number in range(200):
        polls.configure(f"service-{number}", SamplingStrategy("ratelimiting", number + 1000))

    async with polls.channel() as channel:
        found = await asyncio.gather(*(poll(channel, f"service-{number}") for number in range(200)))

    limits = [SamplingStrategyResponse.FromString(answer).rateLimitingSampling.maxTracesPerSecond for answer in found]
    assert limits == [number + 1000 for number in range(200)]


async def test_a_poll_that_its_client_gives_up_disturbs_no_other(polls: Polls) -> None:
    async with RawHttp2.open(polls.grpc_port) as raw:
        raw.reset(raw.request(POLL, frame(b"\x0a\x04shop")))
        raw.reset(raw.request(POLL, b"\0\0", end=False))
        headers, body = await raw.response(raw.request(POLL, frame(b"\x0a\x04shop")))

    assert (headers["grpc-status"], body) == ("0", frame(DEFAULT_BYTES))

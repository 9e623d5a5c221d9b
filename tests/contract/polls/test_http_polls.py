"""Polls over HTTP: what Jaeger v2 answers, byte for byte."""

from collections.abc import Callable
from urllib.parse import quote, quote_plus

import httpx
import pytest

from sampling.strategy import OperationStrategy, SamplingStrategy
from tests.contract.polls.raw_http1 import RawHttp1
from tests.contract.polls.servers import Construct, Polls, running

SEVEN = SamplingStrategy("ratelimiting", 7)
SEVEN_JSON = b'{"strategyType":"RATE_LIMITING","rateLimitingSampling":{"maxTracesPerSecond":7}}'
DEFAULT_JSON = b'{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.001}}'
SERVICE_ONCE = b"'service' parameter must be provided once\n"

PATHS = ["/", "/sampling", "/api/sampling", "/api/sampling/sampling", "/any/other%20path", "//", "/../x"]
NAMES = ["", "user-management", "zahlungsverkehr-ü", "支払い", "🦆", "a/b//c", "%41", "a+b", "a b", "a&b=c", "a#b", "n" * 1024]


def percent_encoded(name: str) -> bytes:
    return quote(name, safe="").encode()


def form_encoded(name: str) -> bytes:
    return quote_plus(name, safe="/").encode()


def every_byte_encoded(name: str) -> bytes:
    return "".join(f"%{byte:02x}" for byte in name.encode()).encode()


@pytest.mark.parametrize(
    ("strategy", "operations", "expected"),
    [
        (
            SamplingStrategy("probabilistic", 0.5),
            (),
            b'{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.5}}',
        ),
        (
            SamplingStrategy("ratelimiting", 42),
            (),
            b'{"strategyType":"RATE_LIMITING","rateLimitingSampling":{"maxTracesPerSecond":42}}',
        ),
        (
            SamplingStrategy("probabilistic", 0.5),
            (OperationStrategy("op0", 0.2),),
            (
                b'{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.5},"operationSampling":'
                b'{"defaultSamplingProbability":0.5,"defaultLowerBoundTracesPerSecond":0,"perOperationStrategies":'
                b'[{"operation":"op0","probabilisticSampling":{"samplingRate":0.2}}],"defaultUpperBoundTracesPerSecond":0}}'
            ),
        ),
    ],
)
async def test_an_answer_is_jaegers_json(
    polls: Polls, strategy: SamplingStrategy, operations: tuple[OperationStrategy, ...], expected: bytes
) -> None:
    polls.configure("shop", strategy, *operations)

    async with httpx.AsyncClient(base_url=polls.http) as client:
        response = await client.get("/sampling", params={"service": "shop"})

    assert (response.status_code, response.content) == (200, expected)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-length"] == str(len(expected))
    assert "date" in response.headers


@pytest.mark.parametrize("path", PATHS)
async def test_every_path_answers(polls: Polls, path: str) -> None:
    polls.configure("shop", SEVEN)

    async with RawHttp1.open(polls.http_port) as raw:
        status, _, body = await raw.get(path.encode() + b"?service=shop")

    assert (status, body) == (200, SEVEN_JSON)


@pytest.mark.parametrize("encode", [percent_encoded, form_encoded, every_byte_encoded])
@pytest.mark.parametrize("name", NAMES)
async def test_any_name_in_any_spelling_finds_its_own_strategy(polls: Polls, name: str, encode: Callable[[str], bytes]) -> None:
    polls.configure(name, SEVEN)

    async with RawHttp1.open(polls.http_port) as raw:
        assert (await raw.get(b"/sampling?service=" + encode(name)))[2] == SEVEN_JSON
        assert (await raw.get(b"/sampling?service=" + encode(name + "x")))[2] == DEFAULT_JSON


@pytest.mark.parametrize("name", ["n" * 2048, "ü" * 1024])
async def test_a_name_of_2048_bytes_is_answered(polls: Polls, name: str) -> None:
    async with RawHttp1.open(polls.http_port) as raw:
        status, _, body = await raw.get(b"/sampling?service=" + every_byte_encoded(name))

    assert (status, body) == (200, DEFAULT_JSON)


@pytest.mark.parametrize("name", ["n" * 2049, "ü" * 1025, "n" * 16_000])
async def test_a_longer_name_is_a_bad_request_that_says_so(polls: Polls, name: str) -> None:
    async with RawHttp1.open(polls.http_port) as raw:
        status, headers, body = await raw.get(b"/sampling?service=" + quote(name).encode())
        again, _, _ = await raw.get(b"/sampling?service=shop")

    assert (status, again) == (400, 200)
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert b"2048 bytes" in body


async def test_a_line_of_more_than_16_kib_gets_an_error_of_http(polls: Polls) -> None:
    async with RawHttp1.open(polls.http_port) as raw:
        status, _, _ = await raw.get(b"/sampling?service=" + b"n" * 17_000)

    assert status in (400, 414)


@pytest.mark.parametrize(
    "query",
    [b"", b"?", b"?other=shop", b"?service=shop&service=shop", b"?service=shop&service=", b"?Service=shop"],
)
async def test_a_service_that_is_not_given_once_is_a_bad_request_in_jaegers_words(polls: Polls, query: bytes) -> None:
    async with RawHttp1.open(polls.http_port) as raw:
        status, headers, body = await raw.get(b"/sampling" + query)

    assert (status, body) == (400, SERVICE_ONCE)
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-length"] == str(len(SERVICE_ONCE))


async def test_a_broken_escape_is_a_bad_request(polls: Polls) -> None:
    async with RawHttp1.open(polls.http_port) as raw:
        status, _, _ = await raw.get(b"/sampling?service=100%")

    assert status == 400


@pytest.mark.parametrize("query", [b"service=", b"service", b"a=1&service&b"])
async def test_an_empty_service_counts_as_given(polls: Polls, query: bytes) -> None:
    async with RawHttp1.open(polls.http_port) as raw:
        assert (await raw.get(b"/?" + query))[2] == DEFAULT_JSON


async def test_other_parameters_are_ignored(polls: Polls) -> None:
    polls.configure("shop", SEVEN)

    async with RawHttp1.open(polls.http_port) as raw:
        assert (await raw.get(b"/?version=2&service=shop&&a;b&c=%20"))[2] == SEVEN_JSON


@pytest.mark.parametrize(("query", "status", "length"), [("service=shop", 200, len(SEVEN_JSON)), ("", 400, len(SERVICE_ONCE))])
async def test_head_has_the_headers_of_get_and_no_body(polls: Polls, query: str, status: int, length: int) -> None:
    polls.configure("shop", SEVEN)

    async with httpx.AsyncClient(base_url=polls.http) as client:
        got = await client.get(f"/sampling?{query}")
        head = await client.head(f"/sampling?{query}")

    assert (head.status_code, head.content, head.headers["content-length"]) == (status, b"", str(length))
    assert head.headers.keys() == got.headers.keys()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
async def test_another_method_is_not_allowed(polls: Polls, method: str) -> None:
    async with httpx.AsyncClient(base_url=polls.http) as client:
        response = await client.request(method, "/sampling?service=shop", content=b"x" * 1000)
        again = await client.get("/sampling?service=shop")

    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
    assert again.status_code == 200


async def test_a_change_is_in_the_very_next_answer(polls: Polls) -> None:
    async with httpx.AsyncClient(base_url=polls.http) as client:
        assert (await client.get("/?service=shop")).content == DEFAULT_JSON

        polls.configure("shop", SEVEN)

        assert (await client.get("/?service=shop")).content == SEVEN_JSON


async def test_before_anything_is_loaded_polls_are_unavailable(construct: Construct) -> None:
    async with running(construct, loaded=False) as polls, httpx.AsyncClient(base_url=polls.http) as client:
        response = await client.get("/sampling?service=shop")
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        assert response.text == "no configuration is loaded yet; keep your strategy and ask again\n"

        polls.configure("shop", SEVEN)

        assert (await client.get("/sampling?service=shop")).content == SEVEN_JSON


async def test_a_connection_is_kept_for_the_next_poll(polls: Polls) -> None:
    async with RawHttp1.open(polls.http_port) as raw:
        for target, expected in ((b"/?service=shop", 200), (b"/", 400), (b"/?service=shop", 200)):
            status, headers, _ = await raw.get(target)
            assert status == expected
            assert headers.get("connection") != "close"


async def test_a_connection_is_closed_for_who_asks_for_that(polls: Polls) -> None:
    async with RawHttp1.open(polls.http_port) as raw:
        status, _, _ = await raw.send(b"GET /?service=shop HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")

        assert status == 200
        assert await raw.ended() == b""


async def test_what_is_no_http_disturbs_no_other(polls: Polls) -> None:
    async with RawHttp1.open(polls.http_port) as raw, RawHttp1.open(polls.http_port) as other:
        raw.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        await raw.ended()

        assert (await other.get(b"/?service=shop"))[0] == 200

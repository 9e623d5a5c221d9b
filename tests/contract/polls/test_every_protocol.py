"""What a poll server does that is exempt from nothing: every protocol on every port."""

import gzip

import httpx
import pytest

from sampling.pb.jaeger.api_v2.sampling_pb2 import SamplingStrategyParameters
from sampling.strategy import SamplingStrategy
from tests.contract.polls.raw_http2 import RawHttp2, frame
from tests.contract.polls.servers import CHECK, POLL, Polls

SEVEN = SamplingStrategy("ratelimiting", 7)
SEVEN_BYTES = bytes.fromhex("08011a020807")
SEVEN_JSON = b'{"strategyType":"RATE_LIMITING","rateLimitingSampling":{"maxTracesPerSecond":7}}'
SHOP = SamplingStrategyParameters(serviceName="shop").SerializeToString()

VERSIONS = pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])


def client(polls: Polls, *, http2: bool) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=polls.http, http1=not http2, http2=http2)


async def test_grpc_and_http_polls_are_answered_on_every_port(polyglot: Polls) -> None:
    polyglot.configure("shop", SEVEN)

    for port in (polyglot.grpc_port, polyglot.http_port):
        async with RawHttp2.open(port) as raw:
            _, grpc_answer = await raw.response(raw.request(POLL, frame(SHOP)))
            _, http_answer = await raw.response(raw.request("/sampling?service=shop", method="GET", headers=()))
        assert (grpc_answer, http_answer) == (frame(SEVEN_BYTES), SEVEN_JSON)


@VERSIONS
async def test_http_polls_are_answered_in_every_version(polyglot: Polls, http2: bool) -> None:
    polyglot.configure("shop", SEVEN)

    async with client(polyglot, http2=http2) as http:
        response = await http.get("/sampling?service=shop")
        error = await http.get("/sampling")
        head = await http.head("/sampling?service=shop")
        post = await http.post("/sampling?service=shop")

    assert response.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
    assert (response.status_code, response.content) == (200, SEVEN_JSON)
    assert (error.status_code, error.text) == (400, "'service' parameter must be provided once\n")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(SEVEN_JSON)))
    assert (post.status_code, post.headers["allow"]) == (405, "GET, HEAD")


@VERSIONS
async def test_connect_polls_are_answered_as_json_and_as_protobuf(polyglot: Polls, http2: bool) -> None:
    polyglot.configure("shop", SEVEN)

    async with client(polyglot, http2=http2) as http:
        json = await http.post(POLL, json={"serviceName": "shop", "unknown": 1})
        protobuf = await http.post(POLL, content=SHOP, headers={"content-type": "application/proto"})

    assert json.json() == {"strategyType": "RATE_LIMITING", "rateLimitingSampling": {"maxTracesPerSecond": 7}}
    assert (protobuf.status_code, protobuf.content) == (200, SEVEN_BYTES)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"serviceName": 3}', "invalid_argument"),
        (b"not JSON", "invalid_argument"),
        (b'{"serviceName": "' + b"n" * 3000 + b'"}', "invalid_argument"),
    ],
)
async def test_a_connect_poll_that_cannot_be_understood_is_a_bad_request(polyglot: Polls, body: bytes, code: str) -> None:
    async with client(polyglot, http2=False) as http:
        response = await http.post(POLL, content=body, headers={"content-type": "application/json"})

    assert (response.status_code, response.json()["code"]) == (400, code)


async def test_a_connect_poll_of_more_than_64_kib_is_refused(polyglot: Polls) -> None:
    async with client(polyglot, http2=False) as http:
        response = await http.post(POLL, json={"serviceName": "n" * 70_000})

    assert response.json()["code"] == "resource_exhausted"


@VERSIONS
async def test_grpc_web_polls_are_answered(polyglot: Polls, http2: bool) -> None:
    polyglot.configure("shop", SEVEN)

    async with client(polyglot, http2=http2) as http:
        headers = {"content-type": "application/grpc-web+proto"}
        response = await http.post(POLL, content=frame(SHOP), headers=headers)
        unknown = await http.post("/other.Service/Method", content=frame(b""), headers=headers)

    assert response.headers["content-type"] == "application/grpc-web+proto"
    assert response.content == frame(SEVEN_BYTES) + b"\x80" + frame(b"grpc-status: 0\r\n")[1:]
    assert (unknown.headers["content-type"], unknown.headers["grpc-status"]) == ("application/grpc-web", "12")


async def test_a_gzip_compressed_poll_gets_a_compressed_answer_where_that_is_accepted(polyglot: Polls) -> None:
    polyglot.configure("shop", SEVEN)
    packed = gzip.compress(SHOP)
    body = b"\x01" + frame(packed)[1:]
    headers = (("content-type", "application/grpc"), ("te", "trailers"), ("grpc-encoding", "gzip"))

    async with RawHttp2.open(polyglot.grpc_port) as raw:
        plain = await raw.response(raw.request(POLL, body, headers=headers))
        accepted = await raw.response(raw.request(POLL, body, headers=(*headers, ("grpc-accept-encoding", "gzip"))))

    assert (plain[0]["grpc-status"], plain[1]) == ("0", frame(SEVEN_BYTES))
    assert (accepted[0]["grpc-encoding"], gzip.decompress(accepted[1][5:])) == ("gzip", SEVEN_BYTES)


async def test_a_body_that_unpacks_to_more_than_64_kib_is_refused(polyglot: Polls) -> None:
    body = b"\x01" + frame(gzip.compress(b"\0" * 10_000_000))[1:]
    headers = (("content-type", "application/grpc"), ("te", "trailers"), ("grpc-encoding", "gzip"))

    async with RawHttp2.open(polyglot.grpc_port) as raw:
        response, _ = await raw.response(raw.request(POLL, body, headers=headers))

    assert response["grpc-status"] == "8"


async def test_get_on_the_path_of_a_method_is_a_poll_and_other_methods_name_what_is_allowed(polyglot: Polls) -> None:
    polyglot.configure("shop", SEVEN)

    async with client(polyglot, http2=False) as http:
        got = await http.get(f"{POLL}?service=shop")
        put = await http.put(CHECK)

    assert got.content == SEVEN_JSON
    assert (put.status_code, put.headers["allow"]) == (405, "GET, HEAD, POST")

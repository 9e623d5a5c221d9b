"""Every poll is counted once, by protocol and outcome."""

import grpc
import httpx

from server.answers import Outcome, Protocol
from tests.contract.polls.servers import Construct, Polls, call, failure, poll, running


def counted(polls: Polls) -> dict[tuple[Protocol, Outcome], int]:
    return {key: count for key, count in polls.answers.polls().items() if count}


async def test_three_grpc_polls_and_two_http_polls_count_three_and_two(polls: Polls) -> None:
    async with polls.channel() as channel, httpx.AsyncClient(base_url=polls.http) as http:
        for name in ("shop", "shop", "other"):
            await poll(channel, name)
        for name in ("shop", "other"):
            await http.get("/sampling", params={"service": name})

    assert counted(polls) == {("grpc", "answered"): 3, ("http", "answered"): 2}


async def test_a_compressed_poll_counts_as_any_other(polls: Polls) -> None:
    async with polls.channel() as channel:
        await poll(channel, "n" * 2000, grpc.Compression.Gzip)

    assert counted(polls) == {("grpc", "answered"): 1}


async def test_polls_that_cannot_be_understood_have_a_count_of_their_own(polls: Polls) -> None:
    async with polls.channel() as channel, httpx.AsyncClient(base_url=polls.http) as http:
        await failure(poll(channel, "n" * 3000))
        await failure(call(channel, "/jaeger.api_v2.SamplingManager/GetSamplingStrategy", b"\xff"))
        await http.get("/sampling")

    assert counted(polls) == {("grpc", "bad_request"): 2, ("http", "bad_request"): 1}


async def test_polls_before_anything_is_loaded_have_a_count_of_their_own(construct: Construct) -> None:
    async with (
        running(construct, loaded=False) as polls,
        polls.channel() as channel,
        httpx.AsyncClient(base_url=polls.http) as http,
    ):
        await failure(poll(channel, "shop"))
        await http.get("/sampling?service=shop")
        await http.get("/sampling?service=shop")

    assert counted(polls) == {("grpc", "unavailable"): 1, ("http", "unavailable"): 2}


async def test_health_reflection_and_other_methods_are_no_polls(polls: Polls) -> None:
    async with polls.channel() as channel, httpx.AsyncClient(base_url=polls.http) as http:
        await call(channel, "/grpc.health.v1.Health/Check", b"")
        await failure(call(channel, "/jaeger.api_v2.SamplingManager/Other", b""))
        await http.put("/sampling?service=shop")

    assert counted(polls) == {}

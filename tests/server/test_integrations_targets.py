"""Jaeger's collector and Zipkin: what is sent is what their protocols say, and what does not take spans is told apart."""

import json
import re
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from server.integrations.dependency import Dependency
from server.integrations.http_client import Unusable
from server.settings import read_settings
from server.surroundings import Surroundings
from tests.services.http_stand_in import FAULTS, Fault, Reply, Request, StandIn
from tests.services.target_stand_ins import JaegerStandIn, ZipkinStandIn

BOTH = pytest.mark.parametrize("name", ["jaeger", "zipkin"])


@pytest.fixture
def stand_in(name: str) -> Iterator[JaegerStandIn | ZipkinStandIn]:
    with JaegerStandIn() if name == "jaeger" else ZipkinStandIn() as running:
        yield running


@asynccontextmanager
async def beside(name: str, url: str) -> AsyncIterator[Surroundings]:
    surroundings = Surroundings(read_settings({f"TRACING_CONFIG_{name.upper()}_URL": url}))
    try:
        yield surroundings
    finally:
        await surroundings.close()


async def looked_at(name: str, url: str) -> Dependency:
    """The one dependency, after it was asked once."""
    async with beside(name, url) as surroundings:
        (dependency,) = surroundings.dependencies
        await dependency.look()
    assert dependency.name == name
    return dependency


@BOTH
async def test_a_check_sends_no_span_and_finds_it_up(name: str, stand_in: JaegerStandIn | ZipkinStandIn) -> None:
    dependency = await looked_at(name, stand_in.url)
    assert (dependency.up, dependency.problem) == (True, None)
    assert stand_in.refused == []
    assert stand_in.requests
    assert stand_in.spans == {}


@BOTH
async def test_a_marked_span_is_one_of_the_protocol_and_of_this_moment(
    name: str, stand_in: JaegerStandIn | ZipkinStandIn
) -> None:
    async with beside(name, stand_in.url) as surroundings:
        ids = [await surroundings.targets[name].send_marked_span() for _ in range(2)]
    assert stand_in.refused == []
    assert list(stand_in.spans) == ids
    assert len(set(ids)) == 2
    for seen in stand_in.spans.values():
        assert (seen.service, seen.name) == ("tracing-config-doctor", "tracing-config doctor")
        assert seen.attributes == {"tracing_config.doctor": "true"}
        assert seen.started < seen.ended <= time.time() < seen.started + 10


async def test_zipkin_is_asked_to_keep_the_span_and_tells_its_storage() -> None:
    with ZipkinStandIn() as zipkin:
        dependency = await looked_at("zipkin", zipkin.url)
        assert dependency.report()["details"]["storage"] == "InMemoryStorage"
        async with beside("zipkin", zipkin.url) as surroundings:
            await surroundings.targets["zipkin"].send_marked_span()
        assert json.loads(zipkin.requests[-1].body)[0]["debug"] is True


async def test_a_zipkin_whose_storage_is_down_is_down_and_without_what_its_options_say() -> None:
    with ZipkinStandIn() as zipkin:
        zipkin.storage = {"CassandraStorage{contactPoints=cassandra, password=hunter2}": "DOWN"}
        dependency = await looked_at("zipkin", zipkin.url)
    assert dependency.problem == "it answers, but its storage (CassandraStorage) is DOWN"
    assert "storage" in dependency.cure


@pytest.mark.parametrize("health", [Reply(400, b"unexpected end of JSON input"), Reply(404), Reply(200, b'{"status": "UP"}')])
async def test_a_collector_that_takes_spans_as_zipkin_does_is_up_without_a_storage(health: Reply) -> None:
    with StandIn(lambda request: Reply(202) if request.method == "POST" else health) as collector:
        dependency = await looked_at("zipkin", collector.url)
    assert dependency.up
    assert "storage" not in dependency.report()["details"]


async def test_a_zipkin_that_does_not_answer_for_its_storage_is_down_in_time() -> None:
    ended = threading.Event()

    def reply(request: Request) -> Reply:
        if request.method == "GET":
            ended.wait(10)
        return Reply(202)

    with StandIn(reply) as zipkin:
        started = time.monotonic()
        dependency = await looked_at("zipkin", zipkin.url)
        assert time.monotonic() - started < 2.5
        ended.set()
    assert dependency.problem == (f"it takes spans, but not a question for its storage: {zipkin.url} did not answer within 1 s")
    assert "storage" in dependency.cure


NO_TARGET = {
    "a page": Reply(200, b"<html>a page</html>", "text/html"),
    "an empty answer": Reply(200),
    "JSON of something else": Reply(200, b'{"ok": true}'),
    "a list": Reply(200, b"[]"),
    "nothing there": Reply(404, b"404 page not found"),
    "nothing created": Reply(204),
}


@BOTH
@pytest.mark.parametrize("answer", NO_TARGET.values(), ids=NO_TARGET)
async def test_any_other_web_server_is_not_taken_for_one(name: str, answer: Reply) -> None:
    with StandIn(lambda _: answer) as other:
        dependency = await looked_at(name, other.url)
    assert not dependency.up
    assert f"TRACING_CONFIG_{name.upper()}_URL" in dependency.cure


@BOTH
@pytest.mark.parametrize("fault", FAULTS)
async def test_whatever_is_wrong_with_it_is_told_in_time_with_the_cure(
    name: str, stand_in: JaegerStandIn | ZipkinStandIn, fault: Fault
) -> None:
    stand_in.fault = fault
    started = time.monotonic()
    async with beside(name, stand_in.url) as surroundings:
        (dependency,) = surroundings.dependencies
        await dependency.look()
        assert time.monotonic() - started < 2.5
        assert not dependency.up
        if fault not in ("hang", "slow"):
            with pytest.raises(Unusable):
                await surroundings.targets[name].send_marked_span()
    assert dependency.cure
    assert fault == "redirect" or f"TRACING_CONFIG_{name.upper()}_URL" in dependency.cure


@pytest.mark.parametrize(
    ("partial", "problem"),
    [
        ({"rejectedSpans": "1", "errorMessage": "not\x1b[31m here"}, "it rejects the span: not [31m here"),
        ({"rejectedSpans": 1}, "it rejects the span"),
        ({"rejectedSpans": "many"}, "rejectedSpans is no number"),
        (["no object"], "partialSuccess is no object"),
    ],
)
async def test_a_collector_that_rejects_the_span_has_not_taken_it(partial: object, problem: str) -> None:
    answer = Reply(200, json.dumps({"partialSuccess": partial}).encode())
    with StandIn(lambda _: answer) as collector:
        async with beside("jaeger", collector.url) as surroundings:
            with pytest.raises(Unusable, match=re.escape(problem)) as error:
                await surroundings.targets["jaeger"].send_marked_span()
    assert error.value.cure


@pytest.mark.parametrize("partial", [None, {}, {"rejectedSpans": "0", "errorMessage": "use gRPC"}])
async def test_a_collector_that_only_warns_has_taken_the_span(partial: object) -> None:
    answer = Reply(200, json.dumps({"partialSuccess": partial}).encode())
    with StandIn(lambda _: answer) as collector:
        async with beside("jaeger", collector.url) as surroundings:
            assert await surroundings.targets["jaeger"].send_marked_span()

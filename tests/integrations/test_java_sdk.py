"""A service with OpenTelemetry's SDK for Java, started with what ``tracing-config env`` prints and nothing else."""

import asyncio
import gzip
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.e2e.command_line import runner
from tests.e2e.replica import Replica
from tests.services.http_stand_in import Reply, Request, StandIn
from tests.services.java import classpath
from tests.waiting import eventually

SERVICE = "it's a #1 service"
POLLING_SECONDS = 60
"""What the service is told."""

ALL = 20
POLLS = 'tracing_config_polls_total{outcome="answered",protocol="grpc"}'


class Service:
    """The process, in an environment of ``PATH`` and the lines that a shell evaluates."""

    def __init__(self, lines: str, java: str) -> None:
        command = ["sh", "-c", 'eval "$0"; exec "$@"', lines, "java", "-Xmx128m", "-cp", java, "service.Main"]
        self._process = subprocess.Popen(
            command, env={"PATH": os.environ["PATH"]}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        assert self._said() == "ready"
        return self

    def sampled(self, name: str, count: int = 1) -> int:
        """How many of so many traces of one span it sampled; they are sent when this returns."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name} {count}\n")
        self._process.stdin.flush()
        return int(self._said())

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate("", timeout=30)
        finally:
            self._process.kill()
            self._process.wait(10)

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="module")
def java() -> str:
    return classpath("sdk")


@pytest.fixture
def jaeger() -> Iterator[StandIn]:
    with StandIn(lambda _: Reply(media_type="application/x-protobuf")) as server:
        yield server


@pytest.fixture
def zipkin() -> Iterator[StandIn]:
    with StandIn(lambda _: Reply(202)) as server:
        yield server


@pytest.fixture
def replica(tmp_path: Path, jaeger: StandIn, zipkin: StandIn) -> Iterator[Replica]:
    with Replica(tmp_path, TRACING_CONFIG_JAEGER_URL=jaeger.url, TRACING_CONFIG_ZIPKIN_URL=zipkin.url) as replica:
        yield replica


def sent(server: StandIn) -> list[Request]:
    """What services sent there: the checks of our own server are left out."""
    return [request for request in server.requests if request.headers.get("user-agent") != "tracing-config"]


def put(replica: Replica, probability: float, **exporters: bool) -> None:
    exports = {name: {"enabled": enabled} for name, enabled in exporters.items()}
    body = {"samplingStrategy": {"type": "probabilistic", "param": probability}, "exportConfig": exports}
    assert replica.api("PUT", f"/services/{SERVICE.replace('#', '%23')}", json=body).status_code == 200


def printed(replica: Replica) -> str:
    return runner(replica)("env", SERVICE).stdout


def spans_in(jaeger: StandIn, name: str) -> int:
    """How many spans of this name arrived over OTLP; nothing else arrives there."""
    for request in sent(jaeger):
        assert (request.method, request.path) == ("POST", "/v1/traces")
        assert request.headers["content-type"] == "application/x-protobuf"
        assert SERVICE.encode() in request.body
    return sum(request.body.count(name.encode()) for request in sent(jaeger))


def zipkin_spans(zipkin: StandIn, name: str) -> int:
    """The same of Zipkin, whose names are in lower case."""
    found = 0
    for request in sent(zipkin):
        assert (request.method, request.path) == ("POST", "/api/v2/spans")
        packed = request.headers.get("content-encoding") == "gzip"
        for span in json.loads(gzip.decompress(request.body) if packed else request.body):
            assert span["localEndpoint"]["serviceName"] == SERVICE
            found += span["name"] == name
    return found


@pytest.mark.parametrize("exporters", [("jaeger",), ("zipkin",), ("jaeger", "zipkin"), ()], ids="+".join)
def test_spans_reach_the_exporters_of_the_record_and_no_other(
    replica: Replica, jaeger: StandIn, zipkin: StandIn, java: str, exporters: tuple[str, ...]
) -> None:
    put(replica, 1, **dict.fromkeys(exporters, True))
    with Service(printed(replica), java) as service:
        assert service.sampled("first-span", ALL) == ALL
    assert spans_in(jaeger, "first-span") == (ALL if "jaeger" in exporters else 0)
    assert zipkin_spans(zipkin, "first-span") == (ALL if "zipkin" in exporters else 0)
    assert bool(sent(jaeger)) == ("jaeger" in exporters)
    assert bool(sent(zipkin)) == ("zipkin" in exporters)


def test_its_own_endpoint_stands_in_place_of_the_platform_s(replica: Replica, jaeger: StandIn, java: str) -> None:
    with StandIn(lambda _: Reply(media_type="application/x-protobuf")) as own:
        body = {
            "samplingStrategy": {"type": "const", "param": 1},
            "exportConfig": {"jaeger": {"enabled": True, "endpoint": own.url}},
        }
        assert replica.api("PUT", f"/services/{SERVICE.replace('#', '%23')}", json=body).status_code == 200
        with Service(printed(replica), java) as service:
            assert service.sampled("first-span", ALL) == ALL
        assert spans_in(own, "first-span") == ALL
    assert sent(jaeger) == []


@pytest.mark.parametrize(("before", "after"), [(1, 0), (0, 1)])
def test_what_is_polled_replaces_what_was_printed(
    replica: Replica, jaeger: StandIn, java: str, before: int, after: int
) -> None:
    put(replica, before, jaeger=True)
    lines = printed(replica)
    put(replica, after, jaeger=True)
    polls = replica.metrics()[POLLS]
    with Service(lines, java) as service:
        asyncio.run(eventually(lambda: service.sampled("probe-span") == after))
        assert replica.metrics()[POLLS] == polls + 1
        assert service.sampled("later-span", ALL) == after * ALL
    assert spans_in(jaeger, "later-span") == after * ALL


def test_a_change_reaches_a_service_that_runs(replica: Replica, jaeger: StandIn, java: str) -> None:
    put(replica, 1, jaeger=True)
    polls = replica.metrics()[POLLS]
    with Service(printed(replica), java) as service:
        asyncio.run(eventually(lambda: replica.metrics()[POLLS] == polls + 1))
        put(replica, 0, jaeger=True)
        assert service.sampled("early-span", ALL) == ALL
        asyncio.run(eventually(lambda: replica.metrics()[POLLS] == polls + 2, POLLING_SECONDS + 15))
        asyncio.run(eventually(lambda: service.sampled("probe-span") == 0))
        assert service.sampled("later-span", ALL) == 0
    assert (spans_in(jaeger, "early-span"), spans_in(jaeger, "later-span")) == (ALL, 0)

"""The server's own spans, as a collector gets them: requests, commits and what replicas apply; polls are none."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from storage.interface import Terms
from storage.sqlite import SqliteStore
from tests.e2e.replica import ROOT, Replica
from tests.server.following import service
from tests.services.span_receiver import GrpcSpanReceiver, Received, SpanReceiver
from tests.waiting import until

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLED = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=1"}
OFTEN = {"OTEL_BSP_SCHEDULE_DELAY": "20"}
PUT = "PUT /api/v1/config/services/{service}"


@pytest.fixture(scope="module")
def receiver() -> Iterator[SpanReceiver]:
    with SpanReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def replica(receiver: SpanReceiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    settings = {**OFTEN, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.name=one"}
    with Replica(tmp_path_factory.mktemp("spans"), **settings) as replica:
        yield replica


def the(receiver: SpanReceiver | GrpcSpanReceiver, wanted: Callable[[Received], bool]) -> Received:
    """The newest such span, as soon as there is one."""
    asyncio.run(until(lambda: any(map(wanted, receiver.spans))))
    return [span for span in receiver.spans if wanted(span)][-1]


def asked_at(path: str) -> Callable[[Received], bool]:
    return lambda span: span.attributes.get("url.path") == path


def part_of(parent: Received) -> Callable[[Received], bool]:
    return lambda span: span.parent_id == parent.span_id


def test_a_write_is_a_span_of_the_request_and_one_of_its_commit_in_the_trace_of_the_caller(
    replica: Replica, receiver: SpanReceiver
) -> None:
    answer = replica.put_rate("a%2Fb?reason=secret", 0.5, headers=CALLED)
    request = the(receiver, lambda span: span.name == PUT and span.trace_id == TRACE)
    commit = the(receiver, part_of(request))
    assert (request.kind, request.parent_id, request.trace_state, request.failed) == ("SERVER", CALLER, "vendor=1", False)
    assert request.attributes == {
        "http.request.method": "PUT",
        "http.route": "/api/v1/config/services/{service}",
        "http.response.status_code": 200,
        "url.path": "/api/v1/config/services/a%2Fb",
        "url.scheme": "http",
        "client.address": "127.0.0.1",
    }
    assert (commit.name, commit.kind, commit.trace_id, commit.failed) == ("commit", "CLIENT", TRACE, False)
    assert commit.attributes == {
        "db.system.name": "sqlite",
        "db.operation.name": "commit",
        "tracing_config.revision": answer.json()["revision"],
        "tracing_config.point": answer.headers["ETag"].strip('"'),
        "tracing_config.records": 1,
    }
    assert request.resource["service.name"] == "tracing-config"
    assert request.resource["k8s.pod.name"] == "one"
    assert request.resource["service.instance.id"]


def test_lines_within_a_request_have_the_ids_of_its_span(replica: Replica, receiver: SpanReceiver) -> None:
    replica.put_rate("lines", 0.25)
    told = [
        replica.wait_for_event(lambda event: event["message"] == "the configuration was changed" and event["name"] == "lines")
    ]
    told += [replica.wait_for_event(lambda event: event["message"] == "a request was answered")]
    span = the(receiver, asked_at("/api/v1/config/services/lines"))
    assert span.parent_id == ""
    assert [(line["trace_id"], line["span_id"]) for line in told] == [(span.trace_id, span.span_id)] * 2


def test_one_request_of_a_connection_is_not_in_the_trace_of_the_one_before(replica: Replica, receiver: SpanReceiver) -> None:
    malformed = {"traceparent": f"00-{TRACE}-{'0' * 16}-01"}
    with httpx.Client(base_url=replica.sidecar_url) as client:
        for path, headers in (("/first", CALLED), ("/second", {}), ("/third", malformed)):
            client.get(path, headers=headers)
    found = [the(receiver, asked_at(path)) for path in ("/first", "/second", "/third")]
    assert [span.parent_id for span in found] == [CALLER, "", ""]
    assert len({span.trace_id for span in found}) == 3
    assert {(span.name, "http.route" in span.attributes, span.failed) for span in found} == {("GET", False, False)}


async def commit_elsewhere(replica: Replica) -> str:
    """Two records, by another process; the point."""
    store = SqliteStore(replica.data_dir / "tracing-config.db")
    await store.open()
    committed = await store.commit([service("elsewhere", 0.5), service("there", 0.5)], Terms(actor="another"))
    await store.close()
    return str(committed.head.point)


def test_what_another_replica_commits_is_a_trace_of_its_own_found_by_its_point(
    replica: Replica, receiver: SpanReceiver
) -> None:
    before = replica.metrics()["tracing_config_revision"]
    point = asyncio.run(commit_elsewhere(replica))
    span = the(receiver, lambda span: span.attributes.get("tracing_config.point") == point)
    assert (span.name, span.kind, span.parent_id) == ("apply", "INTERNAL", "")
    assert span.attributes == {
        "tracing_config.previous_revision": before,
        "tracing_config.revision": before + 1,
        "tracing_config.point": point,
        "tracing_config.records": 2,
    }


def test_polls_probes_and_scrapes_are_no_spans(replica: Replica, receiver: SpanReceiver) -> None:
    before = len(receiver.spans)
    with httpx.Client(base_url=replica.http_url) as client:
        for _ in range(1000):
            assert client.get("/sampling?service=polled", headers=CALLED).status_code == 200
    replica.poll_grpc("polled")
    for url in (f"{replica.sidecar_url}/actuator/health", f"{replica.metrics_url}/metrics"):
        assert httpx.get(url, headers=CALLED).status_code == 200
    # What ended before a span that is there would be there too.
    replica.put_rate("after-polls", 0.5)
    the(receiver, asked_at("/api/v1/config/services/after-polls"))
    assert [span.name for span in receiver.spans[before:]] == ["commit", PUT]


def test_only_what_fails_on_our_side_is_an_error(replica: Replica, receiver: SpanReceiver) -> None:
    refused = replica.put_rate("refused", 0.5, headers={"If-Match": '"1-00000000"'})
    database = replica.data_dir / "tracing-config.db"
    aside = database.rename(database.with_suffix(".aside"))
    failed = replica.put_rate("failed", 0.5)
    aside.rename(database)
    assert (refused.status_code, failed.status_code) == (412, 503)
    spans = [the(receiver, asked_at(f"/api/v1/config/services/{name}")) for name in ("refused", "failed")]
    assert [(span.failed, span.attributes.get("error.type")) for span in spans] == [(False, None), (True, "503")]
    commits = [the(receiver, part_of(span)) for span in spans]
    assert [(span.failed, span.attributes["error.type"]) for span in commits] == [
        (True, "PointMismatch"),
        (True, "StoreUnusable"),
    ]
    assert commits[1].message in failed.json()["detail"]


def test_a_target_that_fails_is_told_once_and_one_that_hangs_holds_up_neither_writes_nor_the_end(tmp_path: Path) -> None:
    receiver = SpanReceiver()
    settings = {**OFTEN, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_EXPORTER_OTLP_TIMEOUT": "60000"}
    with receiver, Replica(tmp_path, **settings) as replica:
        receiver.fault = "error"
        replica.put_rate("a", 0.1)
        told = replica.wait_for_event(lambda event: "spans cannot be sent" in event["message"])
        assert told["address"] == receiver.url
        assert "500" in told["reason"]
        asked = len(receiver.requests)
        replica.put_rate("a", 0.2)
        asyncio.run(until(lambda: len(receiver.requests) > asked))
        receiver.fault = None
        replica.put_rate("a", 0.3)
        replica.wait_for_event(lambda event: event["message"] == "spans are sent again")
        assert sum("spans cannot be sent" in event["message"] for event in replica.events) == 1
        receiver.fault, asked = "hang", len(receiver.requests)
        replica.put_rate("a", 0.4)
        asyncio.run(until(lambda: len(receiver.requests) > asked))
        assert replica.put_rate("a", 0.5).status_code == 200
        # A stop that waited for the target would wait longer than this does.
        assert replica.stop() == 0
        with pytest.raises(AssertionError, match="the server ended"):  # And has said nothing but lines of its log.
            replica.wait_for_event(lambda _: False)


def test_spans_go_by_grpc_too_with_headers_and_a_name_of_ones_own(tmp_path: Path) -> None:
    receiver = GrpcSpanReceiver()
    with receiver.running() as address:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
        more = {
            "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b",
            "OTEL_SERVICE_NAME": "sampling",
            "OTEL_TRACES_SAMPLER": "always_on",
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "one this server does not know",  # The SDK reads it as it is loaded.
        }
        with Replica(tmp_path, **settings, **more) as replica:
            replica.put_rate("a", 0.5)
            # By itself only after 5 s: a stop sends what is left.
            assert replica.stop() == 0
        span = the(receiver, lambda span: span.name == PUT)
        assert span.resource["service.name"] == "sampling"
        assert receiver.metadata["x-key"] == "a b"


PROGRAM = """
import asyncio, os, sys
from server.app import serve
from server.settings import read_settings
stop = asyncio.Event()
stop.set()
asyncio.run(serve(read_settings(os.environ), stop))
print("loaded:", *{"opentelemetry", "requests", "urllib3"} & sys.modules.keys())
"""


def test_without_an_exporter_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    environment = {**os.environ, **Replica(tmp_path).environment, "OTEL_TRACES_SAMPLER": "always_on"}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20, check=True
    )
    assert ended.stdout.splitlines()[-1] == "loaded:"

"""The two log queries of the operations guide find the right lines of a real log in a real OpenSearch and a real Elasticsearch,
and no others."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.deploy.log_template import ERRORS, FIELDS, MAPPINGS, SLOW_REQUESTS, Command, documented
from tests.e2e.certificates import Authority
from tests.e2e.replica import Replica
from tests.services.elasticsearch import ElasticsearchServer
from tests.services.opensearch import OpenSearchServer

SLOW_SECONDS = 1.2
OTHER_APP = "another-app"
Line = Mapping[str, Any]


def send(node: OpenSearchServer, command: Command) -> Any:
    """Do what the documentation says."""
    content = command.file.read_bytes()
    answer = httpx.request(command.method, f"{node.url}{command.path}", headers=command.headers, content=content)
    answer.raise_for_status()
    return answer.json()


@pytest.fixture(scope="module", params=[OpenSearchServer, ElasticsearchServer])
def node(request: pytest.FixtureRequest) -> Iterator[OpenSearchServer]:
    """With the template, loaded as the documentation says."""
    with request.param() as server:
        assert send(server, documented()[0]) == {"acknowledged": True}
        yield server


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Line]:
    """What a server said that was asked quickly and slowly, and whose certificate was spoilt."""
    folder = tmp_path_factory.mktemp("log")
    issued = Authority(folder / "authority").server(folder / "certificates")
    settings = {"TRACING_CONFIG_POLL_TLS_CERT": str(issued.cert), "TRACING_CONFIG_POLL_TLS_KEY": str(issued.key)}
    with Replica(folder / "data", **settings) as replica:
        replica.put_rate("quick", 0.5)
        replica.api("GET", "/services/quick")
        replica.api("GET", "/services/absent")
        assert replica.api("PUT", "/services/slow", content=a_body_that_takes_its_time()).status_code == 200
        issued.cert.write_text("spoilt")
        replica.wait_for_event(lambda event: event["level"] == "ERROR")
        replica.stop()
        with pytest.raises(AssertionError, match="the server ended"):
            replica.wait_for_event(lambda _event: False)
    return replica.events


def a_body_that_takes_its_time() -> Iterator[bytes]:
    whole = json.dumps({"samplingStrategy": {"type": "probabilistic", "param": 0.5}}).encode()
    yield whole[:10]
    time.sleep(SLOW_SECONDS)
    yield whole[10:]


def ship(node: OpenSearchServer, lines: Sequence[Line], app: str, index: str = "tracing-config-logs-2026.01.01") -> None:
    """As a shipper does that reads the output of containers: each line with the labels of its pod."""
    sent = []
    for line in lines:
        pod = {"namespace": "exalt-shared", "pod": {"name": f"{app}-0"}, "labels": {"app": app, "pod-template-hash": "1"}}
        sent += [{"create": {"_index": index}}, {**line, "stream": "stdout", "kubernetes": pod}]
    answer = node.ask("POST", "/_bulk?refresh=true", "".join(f"{json.dumps(each)}\n" for each in sent).encode())
    assert answer["errors"] is False, answer


def found(node: OpenSearchServer, name: str) -> Sequence[Line]:
    """What the documented command finds that sends this file; without what the shipper added."""
    (command,) = [each for each in documented() if each.file.name == name]
    hits = send(node, command)["hits"]["hits"]
    return [{name: value for name, value in hit["_source"].items() if name not in ("stream", "kubernetes")} for hit in hits]


def at(line: Line, **ago: float) -> Line:
    """The same line, at another time."""
    return {**line, "@timestamp": (datetime.now(UTC) - timedelta(**ago)).isoformat()}


@pytest.fixture(scope="module")
def shipped(node: OpenSearchServer, log: Sequence[Line]) -> Sequence[Line]:
    """The log, on the node, among lines that are not meant: of another application, and of the day before."""
    ship(node, log, "tracing-config")
    ship(node, log, OTHER_APP)
    ship(node, [at(line, hours=25) for line in log], "tracing-config")
    return log


def test_the_log_has_what_the_queries_are_for(log: Sequence[Line]) -> None:
    assert [line["message"] for line in log if line["level"] == "ERROR"] == [
        "the certificate cannot be replaced; the last good one stays"
    ]
    told = [(line["method"], line["status"]) for line in log if "route" in line]
    assert told == [("PUT", 200), ("GET", 200), ("GET", 404), ("PUT", 200)]


def test_the_node_is_what_its_name_says(node: OpenSearchServer) -> None:
    (only,) = node.ask("GET", "/_nodes/_local")["nodes"].values()
    assert only["version"].startswith({"opensearch": "2.19.", "elasticsearch": "8.19."}[node.name])


def test_the_errors_of_a_day_are_found(node: OpenSearchServer, shipped: Sequence[Line]) -> None:
    assert found(node, "errors-of-a-day.json") == [line for line in shipped if line["level"] == "ERROR"]


def test_the_slow_requests_of_an_hour_are_found(node: OpenSearchServer, shipped: Sequence[Line]) -> None:
    (line,) = found(node, "slow-requests-of-an-hour.json")
    assert line in shipped
    assert line["response_time"] >= 1000 * SLOW_SECONDS
    assert (line["route"], line["method"], line["actor"]) == ("/api/v1/config/services/{service}", "PUT", "admin")


def test_times_end_where_the_queries_say(node: OpenSearchServer, log: Sequence[Line]) -> None:
    error = next(line for line in log if line["level"] == "ERROR")
    slow = next(line for line in log if line.get("response_time", 0) >= 1000)
    within = [at(error, hours=23.9), at(slow, minutes=59)]
    index = "tracing-config-logs-2026.01.02"
    ship(node, [*within, at(error, hours=24.1), at(slow, minutes=61)], "tracing-config", index)
    hits = [node.ask("POST", f"/{index}/_search", query)["hits"]["hits"] for query in (ERRORS, SLOW_REQUESTS)]
    assert [[hit["_source"]["@timestamp"] for hit in each] for each in hits] == [[each["@timestamp"]] for each in within]
    node.ask("DELETE", f"/{index}")


def test_the_index_has_the_mapping_of_the_template_and_no_more(node: OpenSearchServer, shipped: Sequence[Line]) -> None:
    assert any(set(line) - set(FIELDS) for line in shipped), "some fields are kept without being searched"
    mappings = [each["mappings"] for each in node.ask("GET", "/tracing-config-logs-*/_mapping").values()]
    assert mappings == [{**MAPPINGS, "dynamic": "false"}]


def test_odd_values_lose_no_line(node: OpenSearchServer) -> None:
    odd = {
        "@timestamp": "2020-01-01T00:00:00Z",
        "message": "odd",
        "status": "ok",
        "response_time": "long",
        "remote_addr": "pipe",
    }
    long = {**odd, "name": "x" * 40_000, "actor": ["a", "b"], "new": {"deep": {"er": 1}}}
    index = "tracing-config-logs-2026.01.03"
    ship(node, [odd, long], "tracing-config", index)
    assert node.ask("GET", f"/{index}/_count")["count"] == 2
    node.ask("DELETE", f"/{index}")

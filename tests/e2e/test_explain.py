"""What a name gets and why, against the polls of the same server."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_from_bytes

import grpc
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sampling.pb.jaeger.api_v2.sampling_pb2 import SamplingStrategyParameters
from tests.e2e.replica import Replica, strategies

HALF = {"type": "probabilistic", "param": 0.5}
HEALTH = [{"operation": "GET /health", "param": 0}]
METHOD = "/jaeger.api_v2.SamplingManager/GetSamplingStrategy"


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A server whose configuration has something of every kind."""
    folder = tmp_path_factory.mktemp("explain")
    file = folder / "strategies.json"
    file.write_text(strategies(0.25, **{"in-file": 0.125, "covered": 0.75}))
    with Replica(folder / "data", TRACING_CONFIG_STRATEGIES_FILE=str(file)) as replica:
        for path, body in (
            ("/services/own", {"samplingStrategy": HALF, "operationStrategies": [{"operation": "<&>ü", "param": 1e-7}]}),
            ("/services/covered", {"samplingStrategy": {"type": "ratelimiting", "param": 40000}}),
            ("/services/off", {"samplingStrategy": HALF, "enabled": False}),
            ("/services/no-strategy", {"description": "nothing said"}),
            ("/services/a%2Fb%7B%7D", {"samplingStrategy": {**HALF, "lowerBoundTracesPerSecond": 0.5}}),
            ("/services/batch-%EF%BF%BD", {"samplingStrategy": HALF}),
            ("/policies/health", {"servicePattern": "*", "operationStrategies": HEALTH}),
            ("/policies/batch", {"servicePattern": "batch-*", "priority": 10, "samplingStrategy": HALF}),
            ("/policies/all", {"servicePattern": "b*", "priority": 20, "samplingStrategy": {"type": "const", "param": 1}}),
            ("/policies/later", {"servicePattern": "*-1", "samplingStrategy": HALF, "startsAt": "2100-01-01T00:00:00Z"}),
        ):
            response = replica.api("PUT", path, json=body)
            assert response.status_code == 200, response.text
        yield replica


@pytest.fixture(scope="module")
def poll_bytes(replica: Replica) -> Iterator[Any]:
    """Asks over gRPC; answers the very bytes."""
    with grpc.insecure_channel(replica.grpc_address) as channel:
        yield channel.unary_unary(METHOD)


def look(replica: Replica, name: str | bytes, what: str, **query: str) -> httpx.Response:
    encoded = quote_from_bytes(name, safe="") if isinstance(name, bytes) else quote(name, safe="")
    return replica.api("GET", f"/services/{encoded}/{what}", params=query)


CONFIGURED = ["own", "covered", "off", "no-strategy", "in-file", "a/b{}", "batch-1", "batch-2", "nobody-1"]
polled_names = (
    st.sampled_from(CONFIGURED)
    | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
    | st.sampled_from(["x" * 2048, "ü" * 1024, "\0", "a\nb\x7f", "%2F", "a+b", "{}", "?#&=;", " "])
).filter(lambda name: name not in (".", ".."))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=30)
@given(name=polled_names)
def test_what_is_shown_is_what_polls_are_answered(replica: Replica, poll_bytes: Any, name: str) -> None:
    message = poll_bytes(SamplingStrategyParameters(serviceName=name).SerializeToString(), timeout=5)
    text = httpx.get(f"{replica.http_url}/sampling?service={quote(name, safe='')}", timeout=5).text
    for what in ("effective", "explain"):
        shown = look(replica, name, what).json()
        assert (shown["service"], shown["protobuf"], shown["json"]) == (name, message.hex(), text)


def test_a_name_whose_bytes_are_no_text_is_explained_as_it_is_polled(replica: Replica) -> None:
    shown = look(replica, b"batch-\xff", "explain").json()
    assert shown["json"] == httpx.get(f"{replica.http_url}/sampling?service=batch-%FF", timeout=5).text
    assert (shown["service"], shown["key"]) == ("batch-\ufffd", "all")


def test_a_name_that_no_client_can_poll_is_refused(replica: Replica) -> None:
    for what in ("effective", "explain"):
        refused = look(replica, "x" * 2049, what)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "service"


def test_it_tells_revision_source_and_key(replica: Replica) -> None:
    revision = replica.api("GET", "/services").json()["revision"]
    shown = look(replica, "batch-1", "effective").json()
    assert (shown["source"], shown["key"], shown["revision"]) == ("policy", "all", revision)
    assert shown["point"].startswith(f"{revision}-")
    assert shown["samplingStrategy"] == {"type": "probabilistic", "param": 1}
    assert shown["operationStrategies"] == [{"operation": "GET /health", "param": 0}]
    assert look(replica, "covered", "effective").json()["operationStrategies"] is None


def test_an_explanation_names_the_winner_and_every_loser_with_its_reason(replica: Replica) -> None:
    shown = look(replica, "batch-1", "explain").json()
    found = [(each["source"], each["key"], each["outcome"], each["reason"]) for each in shown["candidates"]]
    assert found == [
        ("policy", "all", "wins", "priority 20, the first of 2 matching policies in force that give a strategy"),
        ("policy", "batch", "loses", "priority 10 against 20 of the policy 'all'"),
        ("policy", "health", "loses", "gives no strategy, operation rules alone"),
        ("policy", "later", "loses", "starts at 2100-01-01T00:00:00Z"),
        ("default", "default", "loses", "nobody has set it"),
        ("file-default", "", "loses", "the policy 'all' stands above it"),
        ("fallback", "", "loses", "the policy 'all' stands above it"),
    ]
    assert shown["candidateCount"] == len(found)
    assert shown["operations"] == [{"operation": "GET /health", "param": 0, "source": "policy", "key": "health"}]
    assert (shown["operation"], shown["nextScheduledChange"]) == (None, None)


def test_one_operation_is_explained(replica: Replica) -> None:
    named = look(replica, "batch-1", "explain", operation="GET /health").json()["operation"]
    assert (named["operation"], named["param"], named["source"], named["key"]) == ("GET /health", 0, "policy", "health")
    other = look(replica, "batch-1", "explain", operation="GET /").json()["operation"]
    assert (other["param"], other["source"], other["key"]) == (1, "policy", "all")
    limited = look(replica, "covered", "explain", operation="GET /health").json()["operation"]
    assert (limited["param"], limited["source"]) == (None, "service")
    assert "rate limit" in limited["candidates"][0]["reason"]


def test_warnings_and_the_next_change_come_with_it(replica: Replica) -> None:
    clients = {each["client"] for each in look(replica, "covered", "explain").json()["warnings"]}
    assert {"OpenTelemetry JavaScript", "OpenTelemetry Rust", "Jaeger Go client (retired)"} <= clients
    assert look(replica, "nobody-1", "explain").json()["nextScheduledChange"] == "2100-01-01T00:00:00Z"

"""Each request of the sidecar is a line of the log, which says nothing that a client made up; a poll is none."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.log_template import FIELDS
from tests.e2e.replica import Replica
from tests.services.local_server import free_port

CLIENT = "198.51.100.7"
THROUGH_A_PROXY = {"X-Forwarded-For": f"192.0.2.66, {CLIENT}"}


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    settings = {"LOG_LEVEL": "DEBUG", "TRACING_CONFIG_TRUSTED_PROXIES": "1"}
    with Replica(tmp_path_factory.mktemp("request-log"), **settings) as replica:
        yield replica


def next_line(replica: Replica) -> dict[str, Any]:
    return replica.wait_for_event(lambda event: event["message"] == "a request was answered")


def test_a_request_is_one_line_with_who_what_and_how_long(replica: Replica) -> None:
    replica.api("PUT", "/services/a%2Fb?reason=why", json={"samplingStrategy": {}}, headers=THROUGH_A_PROXY)
    line = next_line(replica)
    response_time = line.pop("response_time")
    assert isinstance(response_time, float)
    assert 0 < response_time < 15_000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("@timestamp"))
    assert line == {
        "level": "INFO",
        "logger": "server.sidecar.request_log",
        "message": "a request was answered",
        "service.name": "tracing-config",
        "method": "PUT",
        "route": "/api/v1/config/services/{service}",
        "status": 422,
        "remote_addr": CLIENT,
        "actor": "admin",
    }


def test_it_has_the_ids_of_the_trace_that_the_caller_sent_and_of_no_other(replica: Replica) -> None:
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    told = []
    with httpx.Client(base_url=replica.sidecar_url) as client:
        for sent in (
            [("traceparent", f"00-{trace}-{span}-00")],
            [],
            [("traceparent", f"cc-{trace}-{span}-01-of-a-later-version")],
            [("traceparent", f"00-{trace}-{span}-01-of-a-later-version")],
            [("traceparent", f"ff-{trace}-{span}-01")],
            [("traceparent", f"00-{'0' * 32}-{span}-01")],
            [("traceparent", f"00-{trace}-{'0' * 16}-01")],
            [("traceparent", f"00-{trace.upper()}-{span}-01")],
            [("traceparent", f"00-{trace}-{span}-01")] * 2,
        ):
            client.get("/api/v1/openapi.json", headers=sent)
            line = next_line(replica)
            told.append((line.get("trace_id"), line.get("span_id")))
    assert told == [(trace, span), (None, None), (trace, span), *[(None, None)] * 6]


def test_what_a_client_makes_up_is_not_in_it(replica: Replica) -> None:
    headers = {"Authorization": "Bearer made-up"}
    for method, path, status, known_as in (
        ("GET", "/api/v1/config/services/made-up?cursor=made-up", 401, ("GET", "/api/v1/config/services/{service}")),
        ("GET", "/made-up", 404, ("GET", "none")),
        ("PROPFIND", "/actuator/health", 405, ("other", "none")),
        ("GET", "/actuator/health", 417, ("GET", "/actuator/health")),
    ):
        more = {"Expect": "made-up"} if status == 417 else {}
        httpx.request(method, f"{replica.sidecar_url}{path}", headers={**headers, **more, "X-Forwarded-For": "made, up"})
        line = next_line(replica)
        assert (line["status"], line["level"], (line["method"], line["route"])) == (status, "INFO", known_as)
        assert (line["remote_addr"], "actor" in line) == ("127.0.0.1", False)
        assert "made" not in str(line).lower()


def test_probes_and_scrapes_that_are_well_are_told_to_those_who_debug(replica: Replica) -> None:
    told = {}
    for url in (
        f"{replica.sidecar_url}/actuator/health",
        f"{replica.sidecar_url}/actuator/health/liveness",
        f"{replica.sidecar_url}/actuator/health/readiness",
        f"{replica.sidecar_url}/actuator/prometheus",
        f"{replica.metrics_url}/metrics",
        f"{replica.sidecar_url}/api/v1/openapi.json",
    ):
        assert httpx.get(url).status_code == 200
        line = next_line(replica)
        assert url.endswith(line["route"])
        told[line["route"]] = line["level"]
    assert told.pop("/api/v1/openapi.json") == "INFO"
    assert set(told.values()) == {"DEBUG"}


def test_a_probe_that_fails_is_a_warning(tmp_path: Path) -> None:
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    unready = Replica(tmp_path, TRACING_CONFIG_DATABASE_URL=away)
    with unready.start(ready=False):
        assert httpx.get(f"{unready.sidecar_url}/actuator/health/liveness").status_code == 200
        assert httpx.get(f"{unready.sidecar_url}/actuator/health/readiness").status_code == 503
        line = next_line(unready)
        assert (line["route"], line["status"], line["level"]) == ("/actuator/health/readiness", 503, "WARN")


def test_a_poll_is_no_line(replica: Replica) -> None:
    before = len(replica.events)
    for service in ("known", "unknown", ""):
        httpx.get(f"{replica.http_url}/sampling", params={"service": service})
    replica.poll_grpc("known")
    replica.api("GET", "/services")
    assert next_line(replica)["route"] == "/api/v1/config/services"
    assert len(replica.events) == before + 1


def test_every_field_of_the_line_is_searched(replica: Replica) -> None:
    """By the template for indices of the log."""
    replica.api("GET", "/services")
    assert set(next_line(replica)) - set(FIELDS) == set()

"""The configuration API: what it takes, what it refuses, and that a refusal changes nothing."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.e2e.replica import Replica


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    with Replica(tmp_path_factory.mktemp("api")) as replica:
        yield replica


def revision(replica: Replica) -> int:
    number: int = replica.api("GET", "/services").json()["revision"]
    return number


HALF = {"type": "probabilistic", "param": 0.5}


def test_the_operations_guide_s_own_put_works(replica: Replica) -> None:
    body = {
        "samplingStrategy": {"type": "probabilistic", "param": 0.05},
        "exportConfig": {"jaeger": {"enabled": True}, "zipkin": {"enabled": True}},
    }
    response = replica.api("PUT", "/services/user-management", json=body)
    assert response.status_code == 200
    answer = response.json()
    assert answer["service"] == "user-management"
    assert answer["samplingStrategy"] == {"type": "probabilistic", "param": 0.05}
    assert answer["exportConfig"] == body["exportConfig"]
    assert (answer["enabled"], answer["managedBy"], answer["source"]) == (True, None, "record")
    assert response.headers["ETag"].startswith(f'"{answer["revision"]}-')
    assert replica.api("GET", "/services/user-management").json() == answer


@pytest.mark.parametrize(
    "name", ["a/b", "with space", "ünïcode", "a+b", "100%", "a%2Fb", "?query", "#hash", "日本", "a&b=c", "x" * 1024]
)
def test_any_name_goes_there_and_back_and_is_polled(replica: Replica, name: str) -> None:
    path = f"/services/{quote(name, safe='')}"
    assert replica.api("PUT", path, json={"samplingStrategy": HALF}).json()["service"] == name
    assert replica.api("GET", path).json()["service"] == name
    assert replica.rate(name) == 0.5
    assert replica.api("DELETE", path).status_code == 200
    assert replica.api("GET", path).status_code == 404
    assert replica.rate(name) == 0.001


BAD_RECORDS: list[tuple[str, Any]] = [
    ("samplingStrategy.param", {"samplingStrategy": {"type": "probabilistic", "param": 1.0000001}}),
    ("samplingStrategy.param", {"samplingStrategy": {"type": "probabilistic", "param": -0.1}}),
    ("samplingStrategy.param", {"samplingStrategy": {"type": "probabilistic", "param": "0.5"}}),
    ("samplingStrategy.param", {"samplingStrategy": {"type": "probabilistic"}}),
    ("samplingStrategy.param", {"samplingStrategy": {"type": "ratelimiting", "param": 0.5}}),
    ("samplingStrategy.param", {"samplingStrategy": {"type": "ratelimiting", "param": 2**31}}),
    ("samplingStrategy.param", {"samplingStrategy": {"type": "const", "param": 0.5}}),
    ("samplingStrategy.type", {"samplingStrategy": {"type": "sometimes", "param": 0.5}}),
    ("samplingStrategy", {"samplingStrategy": 0.5}),
    ("samplingStrategy.rate", {"samplingStrategy": {"type": "probabilistic", "param": 0.5, "rate": 1}}),
    ("samplingStrategy.lowerBoundTracesPerSecond", {"samplingStrategy": {**HALF, "lowerBoundTracesPerSecond": -1}}),
    ("operationStrategies", {"operationStrategies": {}}),
    ("operationStrategies[0].operation", {"operationStrategies": [{"operation": "", "param": 0.5}]}),
    ("operationStrategies[0].operation", {"operationStrategies": [{"operation": "a\nb", "param": 0.5}]}),
    ("operationStrategies[0].param", {"operationStrategies": [{"operation": "a", "param": 2}]}),
    ("operationStrategies[0].type", {"operationStrategies": [{"operation": "a", "param": 2, "type": "ratelimiting"}]}),
    ("operationStrategies[1].operation", {"operationStrategies": [{"operation": "a", "param": 0}] * 2}),
    (
        "operationStrategies",
        {"samplingStrategy": {"type": "ratelimiting", "param": 5}, "operationStrategies": [{"operation": "a", "param": 0}]},
    ),
    ("enabled", {"enabled": "yes"}),
    ("description", {"description": 7}),
    ("sampler", {"sampler": {}}),
    ("description", {"description": "nul \x00"}),
    ("exportConfig.jaeger.enabled", {"exportConfig": {"jaeger": {}}}),
    ("exportConfig.jaeger.endpoint", {"exportConfig": {"jaeger": {"enabled": True, "endpoint": "jaeger:4318"}}}),
    ("exportConfig.zipkin.endpoint", {"exportConfig": {"zipkin": {"enabled": True, "endpoint": "http://" + "a" * 2042}}}),
]


@pytest.mark.parametrize(("field", "body"), BAD_RECORDS)
def test_a_bad_record_is_refused_by_its_field_and_changes_nothing(replica: Replica, field: str, body: Any) -> None:
    before = revision(replica)
    response = replica.api("PUT", "/services/bad", json=body)
    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == 422
    assert problem["errors"][0]["field"] == field
    assert problem["detail"].startswith(field)
    assert revision(replica) == before
    assert replica.api("GET", "/services/bad").status_code == 404


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"{} {}", b'{"a": NaN}', b'{"samplingStrategy": {"param": 1e999}}', b"\xff"]
)
def test_what_is_no_json_object_is_refused(replica: Replica, body: bytes) -> None:
    response = replica.api("PUT", "/services/bad", content=body)
    assert response.status_code in (400, 422)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert replica.api("GET", "/services/bad").status_code == 404


def test_a_body_over_one_mebibyte_is_refused(replica: Replica) -> None:
    response = replica.api("PUT", "/services/bad", json={"description": "x" * 2**21})
    assert response.status_code == 413
    assert response.headers["Content-Type"] == "application/problem+json"
    assert replica.api("GET", "/services/bad").status_code == 404


@pytest.mark.parametrize("name", ["a\nb", "\x7f", "x" * 1025, "é" * 513])
def test_a_name_that_no_record_can_have_is_refused(replica: Replica, name: str) -> None:
    response = replica.api("PUT", f"/services/{quote(name, safe='')}", json={"samplingStrategy": HALF})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "service"


def test_a_deeply_nested_body_is_refused(replica: Replica) -> None:
    assert replica.api("PUT", "/services/bad", content=b"[" * 100_000).status_code == 400


@pytest.mark.parametrize("header", [None, "Basic YWRtaW46YWRtaW4=", "Bearer wrong", "Bearer", "Bearer é"])
def test_without_the_admin_token_nothing_is_shown_or_changed(replica: Replica, header: str | None) -> None:
    headers = {} if header is None else {b"Authorization": header.encode()}
    for method, path in (("GET", "/services"), ("PUT", "/services/a"), ("DELETE", "/default"), ("GET", "/policies")):
        response = httpx.request(method, f"{replica.sidecar_url}/api/v1/config{path}", headers=headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/%61pi/v1/config/services", "//api/v1/config/services", "/x/../api/v1/config/services"])
def test_no_spelling_of_a_path_leads_around_the_token(replica: Replica, path: str) -> None:
    url = httpx.URL(replica.sidecar_url).copy_with(raw_path=path.encode())
    assert httpx.get(url).status_code in (401, 404)


def test_an_unknown_query_parameter_is_refused_so_that_nobody_believes_in_it(replica: Replica) -> None:
    response = replica.put_rate("a", 0.5, params={"dry": "true"})
    assert response.status_code == 400
    assert "dryRun" in response.json()["detail"]


def test_an_etag_guards_against_lost_updates(replica: Replica) -> None:
    first = replica.put_rate("guarded", 0.25)
    second = replica.put_rate("guarded", 0.5, headers={"If-Match": first.headers["ETag"]})
    assert second.status_code == 200
    stale = replica.put_rate("guarded", 0.75, headers={"If-Match": first.headers["ETag"]})
    assert stale.status_code == 412
    assert stale.json()["current"] == second.headers["ETag"]
    assert replica.api("DELETE", "/services/guarded", headers={"If-Match": first.headers["ETag"]}).status_code == 412
    assert replica.rate("guarded") == 0.5
    assert replica.put_rate("guarded", 0.75, headers={"If-None-Match": "*"}).status_code == 412
    assert replica.put_rate("new", 0.75, headers={"If-None-Match": "*"}).status_code == 200
    assert replica.put_rate("none", 0.75, headers={"If-Match": "*"}).status_code == 412
    assert replica.put_rate("guarded", 0.75, headers={"If-Match": "120"}).status_code == 400


def test_a_client_that_has_a_record_is_told_so(replica: Replica) -> None:
    tag = replica.put_rate("cached", 0.5).headers["ETag"]
    assert replica.api("GET", "/services/cached", headers={"If-None-Match": tag}).status_code == 304
    replica.put_rate("cached", 0.25)
    assert replica.api("GET", "/services/cached", headers={"If-None-Match": tag}).status_code == 200


def test_a_write_that_would_change_nothing_commits_nothing(replica: Replica) -> None:
    first = replica.put_rate("same", 0.5)
    again = replica.api("PUT", "/services/same", json={"samplingStrategy": {**HALF, "param": 0.50}, "enabled": True})
    assert again.status_code == 200
    assert again.headers["ETag"] == first.headers["ETag"]
    assert revision(replica) == first.json()["revision"]


def test_what_was_read_can_be_edited_and_sent_back(replica: Replica) -> None:
    replica.put_rate("edited", 0.5)
    record = replica.api("GET", "/services/edited").json()
    record["samplingStrategy"]["param"] = 0.25
    assert replica.api("PUT", "/services/edited", json=record).status_code == 200
    assert replica.rate("edited") == 0.25


def test_a_disabled_record_says_nothing(replica: Replica) -> None:
    assert replica.api("PUT", "/services/off", json={"samplingStrategy": HALF, "enabled": False}).status_code == 200
    assert replica.rate("off") == 0.001


def test_services_are_listed_page_by_page(replica: Replica) -> None:
    names = [f"page-{number:02}" for number in range(7)]
    for name in reversed(names):
        replica.put_rate(name, 0.5)
    seen: list[str] = []
    cursor: str | None = "page"
    while cursor is not None:
        page = replica.api("GET", "/services", params={"limit": 3, "cursor": cursor}).json()
        assert len(page["services"]) <= 3
        seen += [service["service"] for service in page["services"]]
        cursor = page["nextCursor"]
    assert [name for name in seen if name.startswith("page-")] == names
    assert seen == sorted(seen)
    for limit in ("0", "1001", "x"):
        assert replica.api("GET", "/services", params={"limit": limit}).status_code == 400


def test_policies_rule_over_the_names_they_match(replica: Replica) -> None:
    body = {"servicePattern": "batch-*", "priority": 10, "samplingStrategy": HALF}
    response = replica.api("PUT", "/policies/batch", json=body)
    assert response.status_code == 200
    assert response.json()["policyType"] == "probabilistic"
    assert replica.rate("batch-1") == 0.5
    lower = {**body, "priority": 1, "samplingStrategy": {"type": "probabilistic", "param": 0.75}}
    replica.api("PUT", "/policies/other", json=lower)
    assert replica.rate("batch-1") == 0.5
    operations = {"servicePattern": "batch-*", "operationStrategies": [{"operation": "GET /health", "param": 0}]}
    assert replica.api("PUT", "/policies/health", json=operations).json()["policyType"] == "operations"
    answer = replica.poll_http("batch-1")
    assert [each["operation"] for each in answer["operationSampling"]["perOperationStrategies"]] == ["GET /health"]
    listed = replica.api("GET", "/policies").json()["policies"]
    assert [policy["name"] for policy in listed] == ["batch", "health", "other"]
    tag = replica.api("GET", "/policies/batch").headers["ETag"]
    assert replica.api("PUT", "/policies/batch", json=body, headers={"If-Match": tag}).status_code == 200
    for name in ("batch", "health", "other"):
        assert replica.api("DELETE", f"/policies/{name}").status_code == 200
    assert replica.rate("batch-1") == 0.001
    assert replica.api("DELETE", "/policies/batch").status_code == 404


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("servicePattern", {"samplingStrategy": HALF}),
        ("servicePattern", {"servicePattern": "", "samplingStrategy": HALF}),
        ("samplingStrategy", {"servicePattern": "*"}),
        ("priority", {"servicePattern": "*", "priority": 2**31, "samplingStrategy": HALF}),
        ("startsAt", {"servicePattern": "*", "startsAt": "tomorrow", "samplingStrategy": HALF}),
        ("endsAt", {"servicePattern": "*", "endsAt": "2026-01-01T00:00:00", "samplingStrategy": HALF}),
        (
            "endsAt",
            {
                "servicePattern": "*",
                "startsAt": "2026-01-02T00:00:00Z",
                "endsAt": "2026-01-01T00:00:00Z",
                "samplingStrategy": HALF,
            },
        ),
    ],
)
def test_a_bad_policy_is_refused_by_its_field(replica: Replica, field: str, body: Any) -> None:
    before = revision(replica)
    response = replica.api("PUT", "/policies/bad", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field
    assert revision(replica) == before


def test_the_default_is_set_and_reset_but_never_deleted(replica: Replica) -> None:
    silent = replica.api("GET", "/default").json()
    assert silent["samplingStrategy"] is None
    response = replica.api("PUT", "/default", json={"samplingStrategy": {"type": "ratelimiting", "param": 7}})
    assert response.status_code == 200
    assert replica.poll_http("unknown")["rateLimitingSampling"] == {"maxTracesPerSecond": 7}
    assert "default" not in [policy["name"] for policy in replica.api("GET", "/policies").json()["policies"]]
    assert replica.api("PUT", "/policies/default", json={"servicePattern": "*", "samplingStrategy": HALF}).status_code == 409
    assert replica.api("DELETE", "/policies/default").status_code == 409
    assert replica.api("DELETE", "/default").status_code == 200
    assert replica.rate("unknown") == 0.001
    assert replica.api("PUT", "/default", json={}).status_code == 422
    assert replica.api("PUT", "/default", json={"samplingStrategy": HALF, "priority": 5}).status_code == 422


def test_names_of_boosts_are_kept_for_boosts(replica: Replica) -> None:
    response = replica.api("PUT", "/policies/boost:a", json={"servicePattern": "*", "samplingStrategy": HALF})
    assert response.status_code == 422


def test_what_is_nowhere_is_a_problem_too(replica: Replica) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("POST", "/services", 405), ("PATCH", "/services/a", 405)):
        response = replica.api(method, path)
        assert response.status_code == status
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.json()["status"] == status


def test_every_answer_carries_the_security_headers(replica: Replica) -> None:
    for response in (replica.api("GET", "/services"), replica.api("GET", "/nowhere"), httpx.get(replica.sidecar_url)):
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in response.headers


def test_a_change_is_one_log_line_that_says_who_and_why(replica: Replica) -> None:
    replica.put_rate("logged", 0.5, params={"reason": "to see it"})
    event = replica.wait_for_event(lambda event: event.get("name") == "logged")
    assert (event["level"], event["actor"], event["reason"]) == ("INFO", "admin", "to see it")
    assert "@timestamp" in event
    assert json.dumps(event).count("\n") == 0


def test_requests_are_measured_by_route_and_status(replica: Replica) -> None:
    replica.api("GET", "/services/nobody")
    metrics = replica.metrics()
    route = 'route="/api/v1/config/services/{service}"'
    assert metrics[f'http_requests_total{{method="GET",{route},status="404"}}'] >= 1
    assert metrics[f'http_request_duration_seconds_count{{method="GET",{route},status="404"}}'] >= 1


def test_a_window_is_the_same_in_every_zone(replica: Replica) -> None:
    policy = {"servicePattern": "zoned", "samplingStrategy": HALF}
    first = replica.api("PUT", "/policies/zoned", json={**policy, "startsAt": "2030-01-01T01:30:00+02:00"})
    assert first.json()["startsAt"] == "2029-12-31T23:30:00Z"
    second = replica.api("PUT", "/policies/zoned", json={**policy, "startsAt": "2029-12-31T23:30:00Z"})
    assert second.json() == first.json()
    beyond = replica.api("PUT", "/policies/zoned", json={**policy, "startsAt": "0001-01-01T00:00:00+02:00"})
    assert (beyond.status_code, beyond.json()["errors"][0]["field"]) == (422, "startsAt")


def test_bytes_that_are_no_request_are_no_lines_in_the_log(replica: Replica) -> None:
    address = httpx.URL(replica.sidecar_url)
    for garbage in (b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", b"\x16\x03\x01\x02\x00"):
        with socket.create_connection(("127.0.0.1", address.port or 0), timeout=5) as connection:
            connection.sendall(garbage)
            assert connection.recv(1000)
    replica.api("DELETE", "/services/nobody-at-all", headers={"Authorization": "Bearer wrong"})
    replica.wait_for_event(lambda event: event["message"] == "authentication failed" and event["method"] == "DELETE")
    assert not any("Error handling" in event["message"] for event in replica.events)


@pytest.mark.parametrize("path", ["/services/%FF", "/policies/a%C3", "/boosts/%ED%A0%80"])
def test_bytes_that_are_no_utf_8_are_no_name(replica: Replica, path: str) -> None:
    for method in ("GET", "DELETE"):
        response = replica.api(method, path)
        assert response.status_code == 422
        assert "UTF-8" in response.json()["detail"]


def test_an_etag_is_in_the_record_too(replica: Replica) -> None:
    written = replica.put_rate("tagged", 0.5)
    assert written.json()["etag"] == written.headers["ETag"]
    assert replica.api("GET", "/services", params={"name": "tagged"}).json()["services"][0]["etag"] == written.json()["etag"]

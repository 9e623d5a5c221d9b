"""Imports: one revision or nothing, whatever the document and whoever sends it."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e.replica import TOKEN, Replica
from tests.waiting import eventually


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    with Replica(tmp_path_factory.mktemp("import"), TRACING_CONFIG_IMPORT_MAX_BYTES=str(2**23)) as replica:
        yield replica


@pytest.fixture(autouse=True)
def _empty(replica: Replica) -> None:
    """Every test begins with nothing that anybody owns or not."""
    document = export(replica)
    owners = {record.get("managedBy", "") for kind in ("services", "policies") for record in document[kind].values()}
    owners |= {document["default"].get("managedBy", "")}
    for owner in owners:
        send(replica, {}, mode="replace", owner=owner)
    document = export(replica)
    assert (document["services"], document["policies"]) == ({}, {})


def export(replica: Replica) -> Any:
    return replica.api("GET", "/export").json()


def post(replica: Replica, document: Any, headers: dict[str, str] | None = None, **parameters: Any) -> httpx.Response:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return replica.api("POST", "/import", content=content, params=parameters, headers=headers or {})


def send(replica: Replica, document: Any, **parameters: Any) -> Any:
    response = post(replica, document, **parameters)
    assert response.status_code == 200, response.text
    return response.json()


def rate(value: float, **members: Any) -> dict[str, Any]:
    return {"samplingStrategy": {"type": "probabilistic", "param": value}, **members}


def records(replica: Replica) -> dict[str, Any]:
    document = export(replica)
    return {"default": document["default"], "services": document["services"], "policies": document["policies"]}


def counts(result: Any) -> tuple[int, int, int]:
    return result["written"], result["deleted"], result["unchanged"]


SILENT = {"servicePattern": "*", "enabled": False}
JAEGER = {
    "default_strategy": {"type": "probabilistic", "param": 0.25},
    "service_strategies": [
        {"service": "a", "type": "probabilistic", "param": 0.5},
        {
            "service": "b",
            "type": "probabilistic",
            "param": 1,
            "operation_strategies": [{"operation": "GET /", "type": "probabilistic", "param": 0}],
        },
    ],
}


def test_a_document_is_one_revision_with_actor_and_reason(replica: Replica) -> None:
    before = export(replica)["revision"]
    document = {
        "services": {"a": rate(0.5), "b/ü": rate(0.25)},
        "policies": {"p": rate(0.125, servicePattern="p-*")},
        "default": rate(0.75),
    }
    result = send(replica, document, reason="moving in")
    assert (result["revision"], counts(result)) == (before + 1, (4, 0, 0))
    assert result["point"].startswith(f"{before + 1}-")
    changes = replica.api("GET", "/changes", params={"revision": before + 1}).json()["changes"]
    assert {(change["actor"], change["reason"]) for change in changes} == {("admin", "moving in")}
    assert {change["name"] for change in changes} == {"a", "b/ü", "p", "default"}
    assert [replica.rate(name) for name in ("a", "b/ü", "p-1", "z")] == [0.5, 0.25, 0.125, 0.75]


def test_an_export_brings_an_empty_server_to_the_same_records_and_once_more_changes_nothing(
    replica: Replica, tmp_path: Path
) -> None:
    send(
        replica,
        {
            "services": {"a": rate(0.5, managedBy="x", description="ü"), "b": {"enabled": False}},
            "policies": {"p": rate(0.5, servicePattern="*", startsAt="2026-01-01T00:00:00+02:00", priority=-3)},
            "default": rate(0.1, managedBy="y"),
        },
    )
    document = replica.api("GET", "/export").content
    with Replica(tmp_path) as other:
        result = send(other, document)
        assert counts(result) == (4, 0, 0)
        assert records(other) == records(replica)
        again = send(other, document, takeover="true")
        assert (again["revision"], counts(again)) == (result["revision"], (0, 0, 4))


def test_merge_leaves_what_the_document_does_not_have(replica: Replica) -> None:
    send(replica, {"services": {"a": rate(0.5), "b": rate(0.5)}, "default": rate(0.1)})
    result = send(replica, {"services": {"b": rate(0.25), "c": rate(0.5)}})
    assert counts(result) == (2, 0, 0)
    assert {name: one["samplingStrategy"]["param"] for name, one in export(replica)["services"].items()} == {
        "a": 0.5,
        "b": 0.25,
        "c": 0.5,
    }
    assert replica.rate("z") == 0.1


def test_replace_deletes_what_nobody_manages_and_resets_the_default(replica: Replica) -> None:
    send(
        replica,
        {
            "services": {"a": rate(0.5), "theirs": rate(0.5, managedBy="them")},
            "policies": {"p": rate(0.5, servicePattern="*")},
            "default": rate(0.1),
        },
    )
    result = send(replica, {"services": {"b": rate(0.5)}}, mode="replace")
    assert counts(result) == (2, 2, 0)
    left = records(replica)
    assert (sorted(left["services"]), left["policies"], left["default"]) == (["b", "theirs"], {}, SILENT)


def test_replace_deletes_what_its_owner_owns_and_nothing_else(replica: Replica) -> None:
    send(replica, {"services": {"free": rate(0.5)}, "default": rate(0.1)})
    send(replica, {"services": {"theirs": rate(0.5)}}, owner="them")
    send(replica, {"services": {"a": rate(0.5), "b": rate(0.5)}, "policies": {"p": rate(0.5, servicePattern="*")}}, owner="me")
    result = send(replica, {"services": {"b": rate(0.5)}}, owner="me", mode="replace")
    assert counts(result) == (0, 2, 1)
    left = records(replica)
    assert {name: one.get("managedBy") for name, one in left["services"].items()} == {"free": None, "theirs": "them", "b": "me"}
    assert left["policies"] == {}
    assert left["default"] == rate(0.1, servicePattern="*")


def test_the_default_is_reset_when_its_owner_no_longer_has_it(replica: Replica) -> None:
    send(replica, {"default": rate(0.1)}, owner="me")
    assert records(replica)["default"]["managedBy"] == "me"
    assert counts(send(replica, {}, owner="them", mode="replace")) == (0, 0, 0)
    assert counts(send(replica, {}, owner="me", mode="replace")) == (1, 0, 0)
    assert records(replica)["default"] == SILENT


def test_records_of_another_owner_are_all_named_and_nothing_is_changed(replica: Replica) -> None:
    send(replica, {"services": {"a": rate(0.5), "b": rate(0.5)}}, owner="them")
    before = export(replica)
    response = post(replica, {"services": {"a": rate(0.1), "b": rate(0.1), "c": rate(0.1)}}, owner="me")
    assert response.status_code == 409
    assert response.json()["records"] == [{"kind": "service", "name": name, "managedBy": "them"} for name in ("a", "b")]
    assert export(replica) == before
    send(replica, {"services": {"a": rate(0.1)}}, owner="me", takeover="true")
    assert export(replica)["services"]["a"]["managedBy"] == "me"


def test_a_replacement_that_takes_over_deletes_nothing_of_other_owners(replica: Replica) -> None:
    send(replica, {"services": {"a": rate(0.5), "b": rate(0.5)}}, owner="them")
    send(replica, {"services": {"a": rate(0.1)}}, owner="me", takeover="true", mode="replace")
    assert {name: one["managedBy"] for name, one in export(replica)["services"].items()} == {"a": "me", "b": "them"}


def test_boosts_of_a_document_are_left_alone_and_counted(replica: Replica) -> None:
    boost = rate(1, endsAt="2100-01-01T00:00:00Z")
    result = send(replica, {"services": {"a": rate(0.5)}, "boosts": {"a": boost, "b": boost}})
    assert (counts(result), result["boostsLeftAlone"]) == ((1, 0, 0), 2)
    assert export(replica)["boosts"] == {}


def test_a_document_with_bad_entries_changes_nothing_and_names_them_all(replica: Replica) -> None:
    before = export(replica)
    document = {
        "services": {"good": rate(0.5), "checkout": rate(7), "b": {"x": 1}, "c": 1},
        "policies": {
            "p": {"servicePattern": "*"},
            "boost:x": rate(1, servicePattern="*"),
            "default": rate(1, servicePattern="*"),
            "q": rate(1, servicePattern="*", endsAt="tomorrow"),
        },
        "default": {},
    }
    response = post(replica, document)
    assert response.status_code == 422
    problem = response.json()
    assert [error["field"] for error in problem["errors"]] == [
        'services["checkout"].samplingStrategy.param',
        'services["b"].x',
        'services["c"]',
        'policies["p"].samplingStrategy',
        'policies["boost:x"].name',
        'policies["default"]',
        'policies["q"].endsAt',
        "default.samplingStrategy",
    ]
    assert problem["detail"].startswith('services["checkout"].samplingStrategy.param: a probability is between 0 and 1')
    assert problem["detail"].endswith("(and 7 more)")
    assert export(replica) == before


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"services": {"a": {}}} x', b'{"services": {"\xff": {}}}', b"\xef\xbb\xbf{}"]
)
def test_what_is_no_json_object_is_refused(replica: Replica, body: bytes) -> None:
    response = post(replica, body)
    assert (response.status_code, response.json()["type"]) == (400, "urn:tracing-config:problem:malformed-json")


@pytest.mark.parametrize(
    "parameters",
    [
        {"mode": "delete"},
        {"lenient": "perhaps"},
        {"owner": "a\nb"},
        {"owner": "x" * 1025},
        {"owner": "é" * 513},
        {"owner": " ci"},
        {"dry": "true"},
    ],
)
def test_a_bad_parameter_is_refused(replica: Replica, parameters: dict[str, Any]) -> None:
    response = post(replica, {}, **parameters)
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == next(iter(parameters))


def test_an_owner_may_be_called_whatever_an_export_can_say(replica: Replica) -> None:
    owner = "👩\u200d💻 team"
    assert post(replica, {"services": {"owned": {"enabled": False}}}, owner=owner).status_code == 200
    assert replica.api("GET", "/services/owned").json()["managedBy"] == owner
    assert post(replica, {"services": {}}, owner=owner, mode="replace").json()["deleted"] == 1


def test_a_body_over_the_limit_of_the_settings_is_refused_also_when_it_does_not_say_its_length(replica: Replica) -> None:
    assert post(replica, b" " * (2**23 + 1)).status_code == 413
    in_chunks = (b" " * 2**16 for _ in range(2**7 + 1))
    assert replica.api("POST", "/import", content=in_chunks).status_code == 413
    assert post(replica, b" " * (2**23 - 2) + b"{}").status_code == 200


def test_a_file_of_jaegers_becomes_records_with_the_same_answers(replica: Replica) -> None:
    result = send(replica, JAEGER, owner="me")
    assert (counts(result), result["warnings"], result["warningCount"]) == ((3, 0, 0), [], 0)
    assert [replica.rate(name) for name in ("a", "b", "z")] == [0.5, 1.0, 0.25]
    assert [one.operation for one in replica.poll_grpc("b").operationSampling.perOperationStrategies] == ["GET /"]
    left = records(replica)
    assert {one["managedBy"] for one in (*left["services"].values(), left["default"])} == {"me"}


def test_a_file_that_jaeger_would_cut_or_guess_is_refused_with_every_spot_unless_it_is_taken_leniently(
    replica: Replica,
) -> None:
    before = export(replica)
    file = {
        "service_strategies": [
            {"service": "a", "type": "const", "param": 1},
            {"service": "b", "type": "ratelimiting", "param": 2.5},
            {"service": "c\n", "type": "probabilistic", "param": 1},
        ]
    }
    response = post(replica, file)
    assert response.status_code == 422
    spots = ["service_strategies[0].type", "service_strategies[1].param", 'service_strategies["c\\n"]']
    assert [error["field"] for error in response.json()["errors"]] == spots
    assert "lenient=true" in response.json()["detail"]
    assert export(replica) == before
    result = send(replica, file, lenient="true")
    assert (counts(result), result["warningCount"]) == ((2, 0, 0), 3)
    assert [warning["path"] for warning in result["warnings"]] == spots
    assert replica.rate("a") == 0.001
    assert replica.poll_grpc("b").rateLimitingSampling.maxTracesPerSecond == 2


@pytest.mark.parametrize(
    ("file", "field"),
    [
        ({"service_strategies": [{"service": "a", "type": "probabilistic", "param": "1"}]}, "service_strategies[0].param"),
        ({"service_strategies": [None]}, "service_strategies[0]"),
        ({"service_strategies": {}}, "service_strategies"),
        ({"service_strategies": [], "services": {}}, "services"),
    ],
)
def test_a_file_that_jaeger_refuses_is_refused_leniently_too(replica: Replica, file: Any, field: str) -> None:
    response = post(replica, file, lenient="true")
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_a_dry_run_tells_records_and_effect_and_changes_nothing(replica: Replica) -> None:
    send(replica, {"services": {"old": rate(0.5)}})
    before = export(replica)
    file = {"service_strategies": [{"service": "a", "type": "const", "param": 1}]}
    result = send(replica, file, mode="replace", lenient="true", dryRun="true")
    assert result["dryRun"] is True
    assert [(one["name"], one["after"] is None) for one in result["records"]] == [("a", False), ("old", True)]
    assert (result["recordCount"], result["warningCount"], result["boostsLeftAlone"]) == (2, 1, 0)
    assert {one["service"] for one in result["effect"]["answers"]} == {"old"}
    assert export(replica) == before


LINES = {"Accept": "application/x-ndjson"}


def lines(response: httpx.Response) -> list[Any]:
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/x-ndjson")
    return [json.loads(line) for line in response.text.splitlines()]


def many(count: int) -> dict[str, Any]:
    return {"services": {f"service-{number}": rate(number % 100 / 100) for number in range(count)}}


def test_a_client_that_wants_lines_is_told_how_far_it_is_and_last_the_result(replica: Replica) -> None:
    *told, last = lines(post(replica, many(20_000), LINES))
    assert counts(last["result"]) == (20_000, 0, 0)
    reading = [line for line in told if line["stage"] == "reading"]
    assert told[len(reading) :] == [{"stage": "committing", "done": 0, "total": 20_000}]
    assert reading[-1] == {"stage": "reading", "done": 20_000, "total": 20_000}
    assert [line["done"] for line in reading] == sorted(line["done"] for line in reading)


def test_a_client_that_wants_lines_is_told_a_problem_last(replica: Replica) -> None:
    before = export(replica)
    *_, last = lines(post(replica, {"services": {"a": 1}}, LINES))
    assert (last["problem"]["status"], last["problem"]["errors"][0]["field"]) == (422, 'services["a"]')
    assert lines(post(replica, b"{", LINES))[-1]["problem"]["status"] == 400
    send(replica, {"services": {"a": rate(0.5)}}, owner="them")
    *_, last = lines(post(replica, {"services": {"a": rate(0.1)}}, LINES))
    assert last["problem"]["status"] == 409
    assert export(replica)["revision"] == before["revision"] + 1


def connected(replica: Replica, length: int, headers: str = "") -> socket.socket:
    """A connection on which an import of so many bytes has begun."""
    address = urlsplit(replica.sidecar_url)
    connection = socket.create_connection((str(address.hostname), int(address.port or 0)))
    head = f"POST /api/v1/config/import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {length}\r\n"
    connection.sendall(f"{head}{headers}\r\n".encode())
    return connection


def answered(replica: Replica) -> float:
    """How many imports have come to their end."""
    found = (value for name, value in replica.metrics().items() if name.startswith("http_requests_total") and "/import" in name)
    return sum(found)


@pytest.mark.parametrize("headers", ["", "Accept: application/x-ndjson\r\n"])
@pytest.mark.parametrize("sent", [0.5, 1.0])
async def test_a_client_that_goes_away_before_the_commit_changes_nothing(replica: Replica, sent: float, headers: str) -> None:
    before, count = export(replica), answered(replica)
    body = json.dumps(many(30_000)).encode()
    with connected(replica, len(body), headers) as connection:
        connection.sendall(body[: int(len(body) * sent)])
    await eventually(lambda: answered(replica) > count)
    assert export(replica) == before
    if sent == 1:
        event = replica.wait_for_event(lambda event: "import" in event["message"])
        assert event["message"] == "an import was given up: its client went away before the commit"


def test_two_imports_at_once_are_two_revisions(replica: Replica) -> None:
    before = export(replica)["revision"]
    body = json.dumps(many(3000)).encode()
    connections = [connected(replica, len(body)) for _ in range(2)]
    for connection in connections:
        connection.sendall(body)
    for connection in connections:
        with connection:
            assert connection.recv(2**16).startswith(b"HTTP/1.1 200 ")
    # The second found everything as it wanted it.
    assert export(replica)["revision"] == before + 1
    assert len(export(replica)["services"]) == 3000


def test_a_large_replacement_is_one_revision_on_postgresql_too(postgres_url: str, tmp_path: Path) -> None:
    with Replica(tmp_path, TRACING_CONFIG_DATABASE_URL=postgres_url) as replica:
        send(replica, many(3000), owner="me")
        before = export(replica)["revision"]
        document = {"services": {"service-7": rate(0.07), "new": rate(0.5)}, "default": rate(0.25)}
        result = send(replica, document, owner="me", mode="replace")
        assert (result["revision"], counts(result)) == (before + 1, (2, 2999, 1))
        assert sorted(export(replica)["services"]) == ["new", "service-7"]
        assert [replica.rate(name) for name in ("service-7", "new", "service-8")] == [0.07, 0.5, 0.25]

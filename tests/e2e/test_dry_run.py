"""A dry run tells what the write would do, and does nothing; the same write then does exactly that."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.replica import Replica, strategies

HALF = {"samplingStrategy": {"type": "probabilistic", "param": 0.5}}
TENTH = {"samplingStrategy": {"type": "probabilistic", "param": 0.1}}
LIMIT = {"samplingStrategy": {"type": "ratelimiting", "param": 7}}
HEALTH = {"operationStrategies": [{"operation": "GET /health", "param": 0}]}
DRY = {"dryRun": "true"}
POLLED = ["batch-1", "batch-2", "checkout", "in-file", "limited", "new", "nobody", "x/y"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    folder = tmp_path_factory.mktemp("dry-run")
    file = folder / "strategies.json"
    file.write_text(strategies(0.25, **{"in-file": 0.125}))
    with Replica(folder / "data", TRACING_CONFIG_STRATEGIES_FILE=str(file)) as replica:
        yield replica


@pytest.fixture
def replica(server: Replica) -> Replica:
    """The server with the same few records for every test."""
    for kind in ("services", "policies"):
        for record in server.api("GET", f"/{kind}").json()[kind]:
            if record.get("source", "record") == "record":
                server.api("DELETE", f"/{kind}/{record.get('service') or record['name']}", params={"takeover": "true"})
    server.api("DELETE", "/default")
    for path, body in (
        ("/services/checkout", HALF),
        ("/services/limited", LIMIT),
        ("/policies/batch", {"servicePattern": "batch-*", "priority": 10, **TENTH}),
    ):
        assert server.api("PUT", path, json=body).status_code == 200
    return server


def state(replica: Replica) -> Any:
    """The newest commit of the log, and what stands at the paths that are written here."""
    newest = replica.api("GET", "/changes", params={"limit": 1}).json()["changes"]
    paths = ("/services", "/policies", "/default")
    return newest, [replica.api("GET", path).json() for path in paths]


WRITES: list[tuple[str, str, Any, list[str]]] = [
    ("PUT", "/services/checkout", TENTH, ["checkout"]),
    ("PUT", "/services/checkout", HALF, []),
    ("PUT", "/services/new", {**HALF, **HEALTH}, ["new"]),
    ("PUT", "/services/in-file", HALF, ["in-file"]),
    ("DELETE", "/services/checkout", None, ["checkout"]),
    ("PUT", "/policies/batch", {"servicePattern": "batch-2", "priority": 10, **TENTH}, ["batch-1"]),
    ("PUT", "/policies/health", {"servicePattern": "*", **HEALTH}, [name for name in POLLED if name != "limited"]),
    ("PUT", "/policies/later", {"servicePattern": "*", **LIMIT, "startsAt": "2100-01-01T00:00:00Z"}, []),
    ("DELETE", "/policies/batch", None, ["batch-1", "batch-2"]),
    ("PUT", "/default", LIMIT, ["new", "nobody", "x/y"]),
    ("DELETE", "/default", None, []),
]


@pytest.mark.parametrize(("method", "path", "body", "changing"), WRITES)
def test_the_answers_that_change_are_those_that_a_dry_run_tells(
    replica: Replica, method: str, path: str, body: Any, changing: list[str]
) -> None:
    polls = {name: replica.poll_http(name) for name in POLLED}
    before = state(replica)

    response = replica.api(method, path, json=body, params=DRY)
    assert response.status_code == 200, response.text
    told = response.json()
    assert state(replica) == before
    assert {name: replica.poll_http(name) for name in POLLED} == polls
    effect = told["effect"]
    assert (told["dryRun"], told["revision"], effect["complete"]) == (True, before[1][0]["revision"], True)
    assert effect["examined"] >= len(POLLED)

    assert replica.api(method, path, json=body).status_code == 200
    after = {name: replica.poll_http(name) for name in POLLED}
    assert sorted(name for name in POLLED if polls[name] != after[name]) == sorted(changing)
    assert [each["service"] for each in effect["answers"]] == sorted(changing)
    assert effect["changed"] == len(changing)
    for each in effect["answers"]:
        for moment, poll in (("before", polls), ("after", after)):
            assert each[moment] == answer_of(poll[each["service"]])


def answer_of(poll: dict[str, Any]) -> dict[str, Any]:
    """What was polled, as a dry run shows it."""
    if poll["strategyType"] == "RATE_LIMITING":
        return {"strategy": {"type": "ratelimiting", "param": poll["rateLimitingSampling"]["maxTracesPerSecond"]}}
    answer: dict[str, Any] = {"strategy": {"type": "probabilistic", "param": poll["probabilisticSampling"]["samplingRate"]}}
    if "operationSampling" in poll:
        answer["operations"] = [
            {"operation": each["operation"], "param": each["probabilisticSampling"]["samplingRate"]}
            for each in poll["operationSampling"]["perOperationStrategies"]
        ]
    return answer


def test_the_records_are_told_before_and_after(replica: Replica) -> None:
    told = replica.api("PUT", "/services/checkout", json=TENTH, params=DRY).json()
    assert told["records"] == [{"kind": "service", "name": "checkout", "before": HALF, "after": TENTH}]
    told = replica.api("DELETE", "/services/checkout", params=DRY).json()
    assert told["records"] == [{"kind": "service", "name": "checkout", "before": HALF, "after": None}]
    told = replica.api("PUT", "/services/checkout", json=HALF, params=DRY).json()
    assert (told["records"], told["recordCount"], told["effect"]["changed"]) == ([], 0, 0)


def test_names_that_were_polled_are_examined_too(replica: Replica) -> None:
    changes = {"json": {"servicePattern": "seen-only-by-polls", **HALF}, "params": DRY}
    before = replica.api("PUT", "/policies/seen", **changes).json()["effect"]
    replica.poll_http("seen-only-by-polls")
    after = replica.api("PUT", "/policies/seen", **changes).json()["effect"]
    assert (before["changed"], after["changed"]) == (0, 1)
    assert after["examined"] == before["examined"] + 1


def test_a_dry_run_honours_the_preconditions_as_the_write_does(replica: Replica) -> None:
    tag = replica.api("GET", "/services/checkout").headers["ETag"]
    assert replica.api("PUT", "/services/checkout", json=TENTH).status_code == 200
    before = state(replica)
    for method, path, headers, body in (
        ("PUT", "/services/checkout", {"If-Match": tag}, TENTH),
        ("DELETE", "/services/checkout", {"If-Match": tag}, None),
        ("PUT", "/services/checkout", {"If-None-Match": "*"}, TENTH),
        ("PUT", "/services/nobody", {"If-Match": "*"}, TENTH),
    ):
        dry = replica.api(method, path, json=body, headers=headers, params=DRY)
        real = replica.api(method, path, json=body, headers=headers)
        assert (dry.status_code, dry.json()) == (412, real.json())
    assert state(replica) == before
    current = {"If-Match": replica.api("GET", "/services/checkout").headers["ETag"]}
    assert replica.api("PUT", "/services/checkout", json=HALF, headers=current, params=DRY).status_code == 200


def test_a_dry_run_honours_ownership_as_the_write_does(replica: Replica) -> None:
    owned = {"format": "tracing-config/1", "services": {"owned": HALF}}
    assert replica.api("POST", "/import", json=owned, params={"mode": "merge", "owner": "team-a"}).status_code == 200
    before = state(replica)
    for method, body in (("PUT", TENTH), ("DELETE", None)):
        dry = replica.api(method, "/services/owned", json=body, params=DRY)
        real = replica.api(method, "/services/owned", json=body)
        assert (dry.status_code, dry.json()) == (409, real.json())
        assert dry.json()["managedBy"] == "team-a"
        taken = replica.api(method, "/services/owned", json=body, params={**DRY, "takeover": "true"})
        assert (taken.status_code, taken.json()["effect"]["changed"]) == (200, 1)
    assert state(replica) == before


def test_what_a_write_refuses_a_dry_run_refuses_too(replica: Replica) -> None:
    bad = {"samplingStrategy": {"type": "probabilistic", "param": 2}}
    dry = replica.api("PUT", "/services/bad", json=bad, params=DRY)
    assert (dry.status_code, dry.json()) == (422, replica.api("PUT", "/services/bad", json=bad).json())
    assert replica.api("DELETE", "/services/nobody", params=DRY).status_code == 404


def test_records_with_very_long_texts_are_shown_only_in_part(replica: Replica) -> None:
    services = {f"long-{number:02}": {**HALF, "description": "x" * 1_000_000} for number in range(20)}
    told = replica.api("POST", "/import", json={"services": services}, params={**DRY, "mode": "merge"}).json()
    assert (len(told["records"]), told["recordCount"]) == (8, 20)

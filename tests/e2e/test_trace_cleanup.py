"""Old traces, removed through the API of a running replica."""

import asyncio
import socket
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from server.sidecar.identity import Identity
from server.sidecar.tokens import add_to_token_file, entry_of, make_token
from tests.e2e.command_line import runner
from tests.e2e.replica import TOKEN, Replica
from tests.e2e.stores import STORES, replica_on
from tests.services.elasticsearch_stand_in import ElasticsearchStandIn, failure
from tests.waiting import eventually

PATH = "/api/v1/admin/traces/cleanup"
TOKENS = {role: make_token() for role in ("viewer", "editor")}


@pytest.fixture(scope="module")
def shared() -> Iterator[ElasticsearchStandIn]:
    with ElasticsearchStandIn() as server:
        yield server


@pytest.fixture(scope="module", params=STORES)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared: ElasticsearchStandIn
) -> Iterator[Replica]:
    folder = tmp_path_factory.mktemp("traces")
    for role, token in TOKENS.items():
        add_to_token_file(folder / "tokens.json", entry_of(token, Identity(role, role)), replace=False)  # type: ignore[arg-type]
    settings = {
        "TRACING_CONFIG_TOKENS_FILE": str(folder / "tokens.json"),
        "TRACING_CONFIG_ELASTICSEARCH_URL": shared.url,
        "TRACING_CONFIG_TRACE_INDEX_PREFIXES": "prod-",
        "TRACING_CONFIG_TRACE_INDEX_DATE_SEPARATOR": ".",
    }
    with replica_on(request.param, folder / "data", request, **settings) as replica:
        yield replica


def index(day: date, kind: str = "jaeger-span") -> str:
    return f"prod-{kind}-{day:%Y.%m.%d}"


@pytest.fixture
def today() -> date:
    """When the test began. Whatever day it is when it ends: which indices are old by 30 or by 20 days is the same."""
    return datetime.now(UTC).date()


@pytest.fixture
def server(shared: ElasticsearchStandIn, today: date) -> ElasticsearchStandIn:
    """Three old indices, two that are not, today's, and one that is none of ours."""
    names = [index(today - timedelta(days=days)) for days in (0, 10, 25, 41, 42, 43)]
    shared.indices = {**ElasticsearchStandIn([*names, f"jaeger-span-{today - timedelta(days=99):%Y.%m.%d}"]).indices}
    shared.fault = None
    shared.refused.clear()
    shared.may_remove.set()
    shared.removing.clear()
    shared.requests.clear()
    return shared


@pytest.fixture
def old(today: date) -> list[str]:
    return [index(today - timedelta(days=days)) for days in (43, 42, 41)]


def clean_up(replica: Replica, token: str = TOKEN, **parameters: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.delete(f"{replica.sidecar_url}{PATH}", params=parameters, headers=headers, timeout=30, **replica.trust)


def newest_change(replica: Replica) -> dict[str, Any]:
    change: dict[str, Any] = replica.api("GET", "/changes", params={"limit": 1}).json()["changes"][0]
    return change


def test_old_indices_go_and_the_answer_health_metrics_and_history_tell_it(
    running: Replica, server: ElasticsearchStandIn, today: date, old: list[str]
) -> None:
    before, counted = set(server.indices), running.metrics().get("tracing_config_trace_indices_removed_total", 0)
    response = clean_up(running, days=30, reason="weekly")
    assert response.status_code == 200, response.text
    answer = response.json()
    assert set(server.indices) == before - set(old)
    assert (answer["removed"], answer["failed"], answer["dryRun"], answer["days"]) == (old, [], False, 30)
    began = date.fromisoformat(answer["olderThan"]) + timedelta(days=30)
    assert today <= began <= datetime.now(UTC).date()
    reasons = {each["index"]: each["reason"] for each in answer["stayed"]}
    assert reasons[index(today)] == ("of today" if began == today else "not older than 30 days")
    assert reasons[index(today - timedelta(days=25))] == "not older than 30 days"
    assert answer["stayedCount"] == len(reasons) == 3
    change = newest_change(running)
    text = f"removes 3 trace indices older than {answer['olderThan']}: {', '.join(old)}; weekly"
    assert (change["revision"], change["actor"], change["reason"]) == (answer["revision"], "admin", text)
    assert change["kind"] is change["name"] is change["before"] is change["after"] is None
    assert old[0] in runner(running)("history", COLUMNS="1000").stdout
    assert "weekly" in runner(running)("history", "--full").stdout
    metrics = running.metrics()
    assert metrics["tracing_config_trace_indices_removed_total"] == counted + 3
    assert metrics["tracing_config_trace_cleanup_last_success_timestamp_seconds"] > 1.7e9
    asyncio.run(eventually(lambda: running.health()["components"]["elasticsearch"]["status"] == "UP"))
    details = running.health()["components"]["elasticsearch"]["details"]
    assert (details["distribution"], details["version"], details["clusterStatus"]) == ("opensearch", "3.3.2", "yellow")


def test_a_log_with_such_entries_is_valid_and_can_be_rolled_back_over(running: Replica, server: ElasticsearchStandIn) -> None:
    wanted = running.put_rate("shop", 0.25).json()["revision"]
    assert clean_up(running, days=30).json()["removed"]
    assert running.put_rate("shop", 0.75).status_code == 200
    assert clean_up(running, days=20).json()["removed"]
    assert len(running.api("GET", "/diff", params={"from": wanted}).json()["records"]) == 1
    rolled_back = running.api("POST", "/rollback", json={"revision": wanted})
    assert (rolled_back.status_code, rolled_back.json()["changed"]) == (200, 1)
    assert running.rate("shop") == 0.25
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"{running.sidecar_url}/api/v1/admin/config/validate"
    report = httpx.get(url, headers=headers, timeout=30, **running.trust).json()
    assert report["valid"], report


def test_a_dry_run_is_for_whoever_may_read_and_a_removal_for_admins(
    running: Replica, server: ElasticsearchStandIn, old: list[str]
) -> None:
    before = newest_change(running)
    for token in TOKENS.values():
        assert clean_up(running, token, days=30).status_code == 403
        answer = clean_up(running, token, days=30, dryRun="true").json()
        assert (answer["dryRun"], answer["removed"], answer["revision"]) == (True, old, None)
    assert clean_up(running, "nobody's", days=30, dryRun="true").status_code == 401
    assert not server.removals
    assert newest_change(running) == before


@pytest.mark.parametrize("days", ["", "0", "-1", "36501", "1.5", "thirty", "30d", None])
def test_days_must_be_a_number_of_at_least_one(running: Replica, server: ElasticsearchStandIn, days: str | None) -> None:
    response = clean_up(running, **({} if days is None else {"days": days}))
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "days")
    assert not server.removals


def test_what_could_not_be_removed_makes_it_a_failure_that_tells_all_the_same_what_went(
    running: Replica, server: ElasticsearchStandIn, old: list[str]
) -> None:
    server.refused[old[1]] = failure(400, "snapshot_in_progress_exception", "it is being copied")
    response = clean_up(running, days=30)
    problem = response.json()
    assert (response.status_code, problem["type"]) == (502, "urn:tracing-config:problem:cleanup-incomplete")
    assert problem["removed"] == [old[0], old[2]]
    assert [each["index"] for each in problem["failed"]] == [old[1]]
    assert "it is being copied" in problem["detail"]
    assert newest_change(running)["reason"].startswith(f"1 of the 3 trace indices of revision {problem['revision']} stayed")


@pytest.mark.parametrize("fault", ["error", "nonsense", "no-http", "redirect", "huge"])
def test_a_server_that_fails_is_told_as_a_problem_and_nothing_is_entered(
    running: Replica, server: ElasticsearchStandIn, fault: Any
) -> None:
    before = newest_change(running)
    server.fault = fault
    response = clean_up(running, days=30)
    assert (response.status_code, response.json()["type"]) == (502, "urn:tracing-config:problem:dependency-unusable")
    assert server.url in response.json()["detail"] or "Elasticsearch or OpenSearch" in response.json()["detail"]
    assert newest_change(running) == before


async def test_a_client_that_goes_away_in_the_middle_ends_nothing(
    running: Replica, server: ElasticsearchStandIn, old: list[str]
) -> None:
    server.may_remove.clear()
    place = urlsplit(running.sidecar_url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as client:
        head = f"DELETE {PATH}?days=30 HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        client.sendall(head.encode())
        await eventually(server.removing.is_set)
        assert newest_change(running)["reason"].startswith("removes 3")
        assert clean_up(running, days=30).status_code == 409
    server.may_remove.set()
    await eventually(lambda: not set(old) & set(server.indices))
    await eventually(lambda: clean_up(running, days=30).status_code == 200)
    assert newest_change(running)["reason"].startswith("removes 3")


async def test_a_replica_that_is_killed_in_the_middle_leaves_its_entry_and_another_one_goes_on(
    tmp_path: Path, server: ElasticsearchStandIn, old: list[str], postgres_url: str
) -> None:
    settings = {
        "TRACING_CONFIG_DATABASE_URL": postgres_url,
        "TRACING_CONFIG_ELASTICSEARCH_URL": server.url,
        "TRACING_CONFIG_TRACE_INDEX_PREFIXES": "prod",
        "TRACING_CONFIG_TRACE_INDEX_DATE_SEPARATOR": ".",
    }
    server.may_remove.clear()
    with Replica(tmp_path / "first", **settings) as first, Replica(tmp_path / "second", **settings) as second:
        request = asyncio.create_task(asyncio.to_thread(clean_up, first, days=30))
        await eventually(server.removing.is_set)
        refused = clean_up(second, days=30)
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:tracing-config:problem:already-running")
        first.kill()
        await asyncio.gather(request, return_exceptions=True)
        entry = newest_change(second)
        assert entry["reason"].startswith("removes 3 trace indices")
        assert entry["reason"].endswith(", ".join(old))
        server.may_remove.set()
        await eventually(lambda: clean_up(second, days=30).status_code == 200)
    assert not set(old) & set(server.indices)


def test_without_a_setting_that_says_where_traces_are_the_setting_is_named(tmp_path: Path) -> None:
    with Replica(tmp_path) as replica:
        response = clean_up(replica, days=30)
        assert (response.status_code, response.json()["type"]) == (409, "urn:tracing-config:problem:not-configured")
        assert "TRACING_CONFIG_ELASTICSEARCH_URL" in response.json()["detail"]
        assert "elasticsearch" not in replica.health()["components"]
        assert not [name for name in replica.metrics() if "trace_" in name]

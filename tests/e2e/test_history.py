"""The log of changes and the difference of two revisions, as the API tells them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest

from sampling.records import Key
from storage.interface import Terms, Write
from tests.e2e.replica import Replica
from tests.e2e.stores import STORES, replica_on, store_of
from tests.services.postgres import PostgresServer
from tests.waiting import eventually


@pytest.fixture(scope="module", params=STORES)
def replica(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    with replica_on(request.param, tmp_path_factory.mktemp("history"), request) as replica:
        yield replica


def changes(replica: Replica, **filters: Any) -> list[dict[str, Any]]:
    """All changes for which the filters hold, over as many pages as it takes."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        response = replica.api("GET", "/changes", params={**filters, "cursor": cursor})
        assert response.status_code == 200, response.text
        page = response.json()
        found += page["changes"]
        cursor = page["nextCursor"]
    return found


def diff(replica: Replica, from_: int, to: int | None = None, **parameters: Any) -> dict[str, Any]:
    """One page of a difference."""
    response = replica.api("GET", "/diff", params={"from": from_, **({} if to is None else {"to": to}), **parameters})
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    return page


def newest(replica: Replica) -> int:
    revision: int = replica.api("GET", "/changes", params={"limit": 1}).json()["changes"][0]["revision"]
    return revision


def body(rate: float) -> dict[str, Any]:
    """What is kept of a service that was written with ``put_rate``."""
    return {"samplingStrategy": {"type": "probabilistic", "param": rate}}


async def commit(replica: Replica, *names: str) -> int:
    """Several services in one revision, written by another process."""
    async with store_of(replica) as store:
        writes = [Write(Key("service", name), json.dumps(body(0.5), separators=(",", ":")).encode()) for name in names]
        return (await store.commit(writes, Terms(actor="another", reason="several"))).head.point.revision


def test_a_change_tells_who_made_what_of_what_when_and_why(replica: Replica) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    first = replica.put_rate("told", 0.5, params={"reason": "so"})
    second = replica.put_rate("told", 0.25)
    third = replica.api("DELETE", "/services/told", params={"reason": "gone"})
    deleted, changed, made = changes(replica, name="told")
    assert [row["revision"] for row in (made, changed, deleted)] == [each.json()["revision"] for each in (first, second, third)]
    assert [(row["before"], row["after"]) for row in (made, changed, deleted)] == [
        (None, body(0.5)),
        (body(0.5), body(0.25)),
        (body(0.25), None),
    ]
    assert [row["reason"] for row in (made, changed, deleted)] == ["so", "", "gone"]
    for row, response in ((made, first), (changed, second), (deleted, third)):
        assert (row["kind"], row["name"], row["actor"], row["position"]) == ("service", "told", "admin", 0)
        assert response.headers["ETag"] == f'"{row["revision"]}-{row["commitId"][:8]}"'
        assert before < datetime.fromisoformat(row["at"]) < datetime.now(UTC) + timedelta(seconds=2)


async def test_every_filter_alone_and_all_together_leave_only_what_they_say(replica: Replica) -> None:
    replica.put_rate("null", 0.5)
    replica.put_rate("filtered", 0.5, params={"reason": "because"})
    replica.api("PUT", "/policies/filtered", json={"servicePattern": "x", **body(0.5)})
    replica.api("PUT", "/default", json=body(0.5))
    await commit(replica, "filtered-1", "filtered-2")
    everything = changes(replica)
    picked = next(row for row in everything if row["name"] == "filtered" and row["kind"] == "service")
    instant = picked["at"]

    def is_later(row: dict[str, Any]) -> bool:
        return datetime.fromisoformat(row["at"]) >= datetime.fromisoformat(instant)

    cases: list[tuple[dict[str, Any], Any]] = [
        ({"kind": "service"}, lambda row: row["kind"] == "service"),
        ({"kind": "policy"}, lambda row: row["kind"] == "policy"),
        ({"kind": "boost"}, lambda row: row["kind"] == "boost"),
        ({"name": "filtered"}, lambda row: row["name"] == "filtered"),
        ({"name": "null"}, lambda row: row["name"] == "null"),
        ({"kind": "policy", "name": "default"}, lambda row: (row["kind"], row["name"]) == ("policy", "default")),
        ({"actor": "another"}, lambda row: row["actor"] == "another"),
        ({"actor": "nobody"}, lambda _row: False),
        ({"commit": picked["commitId"]}, lambda row: row["commitId"] == picked["commitId"]),
        ({"commit": picked["commitId"][:8]}, lambda row: row["commitId"].startswith(picked["commitId"][:8])),
        ({"revision": 0}, lambda row: row["revision"] == 0),
        ({"revision": picked["revision"]}, lambda row: row["revision"] == picked["revision"]),
        ({"since": instant}, is_later),
        ({"until": instant}, lambda row: not is_later(row)),
        (
            {"since": instant, "kind": "service", "name": "filtered", "actor": "admin", "revision": picked["revision"]},
            lambda row: row == picked,
        ),
    ]
    for filters, holds in cases:
        assert changes(replica, **filters) == [row for row in everything if holds(row)], filters
    assert not changes(replica, kind="boost", name="filtered")
    assert len(changes(replica, actor="another", revision=newest(replica))) == 2


async def test_pages_of_changes_are_not_shifted_by_what_comes_meanwhile(replica: Replica) -> None:
    await commit(replica, *(f"page-{number}" for number in range(5)))
    await eventually(lambda: replica.api("GET", "/services/page-0").status_code == 200)
    everything = changes(replica)
    seen: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = replica.api("GET", "/changes", params={"limit": 3, "cursor": cursor}).json()
        seen += page["changes"]
        cursor = page["nextCursor"]
        assert len(page["changes"]) == 3 or cursor is None
        assert len(seen) <= len(everything)
        assert cursor is None or cursor == f"{seen[-1]['revision']}.{seen[-1]['position']}"
        replica.put_rate("meanwhile", len(seen) / 1000)
    assert seen == everything
    order = [(row["revision"], row["position"]) for row in everything]
    assert order == sorted(set(order), reverse=True)


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/changes", "cursor", "120"),
        ("/changes", "cursor", "120.x"),
        ("/changes", "cursor", "service:a"),
        ("/changes", "cursor", "9999999999999999999.0"),
        ("/changes", "cursor", "1.99999999999"),
        ("/changes", "limit", "0"),
        ("/changes", "limit", "1001"),
        ("/changes", "kind", "default"),
        ("/changes", "name", "a\0b"),
        ("/changes", "name", ""),
        ("/changes", "actor", "\n"),
        ("/changes", "commit", "120-3f9a1c02"),
        ("/changes", "commit", "%"),
        ("/changes", "commit", ""),
        ("/changes", "revision", "-1"),
        ("/changes", "revision", str(2**63)),
        ("/changes", "since", "2026-11-24T09:00:00"),
        ("/changes", "since", "yesterday"),
        ("/changes", "since", "1764000000"),
        ("/changes", "since", ""),
        ("/changes", "until", "0001-01-01T00:00:00+14:00"),
        ("/changes", "after", "x"),
        ("/diff", "cursor", "a"),
        ("/diff", "cursor", "services:a"),
        ("/diff", "from", "first"),
        ("/diff", "to", "-1"),
        ("/diff", "to", str(2**63)),
    ],
)
def test_a_bad_parameter_is_refused_by_its_name(replica: Replica, path: str, field: str, value: str) -> None:
    parameters = {field: value} if path == "/changes" else {"from": "0", field: value}
    response = replica.api("GET", path, params=parameters)
    assert response.status_code == 400, response.text
    assert response.json()["errors"][0]["field"] == field


def test_an_instant_may_have_any_zone_and_a_plus_that_was_not_encoded(replica: Replica) -> None:
    row = replica.put_rate("zone", 0.5).json()
    at = datetime.fromisoformat(changes(replica, revision=row["revision"])[0]["at"])
    east = at.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()
    assert "+05:30" in east
    found = changes(replica, revision=row["revision"])
    for text in (at.isoformat().replace("+", "%2B"), east.replace("+", "%2B"), east, east.lower()):
        response = replica.api("GET", f"/changes?revision={row['revision']}&since={text}")
        assert response.json()["changes"] == found, text
        response = replica.api("GET", f"/changes?revision={row['revision']}&until={text}")
        assert response.json()["changes"] == [], text
    problem = replica.api("GET", "/changes?since=2026-11-24T09:00:00").json()
    assert "%2B" in problem["detail"]


def test_a_diff_tells_what_became_of_each_record_between_two_revisions_in_either_order(replica: Replica) -> None:
    states: dict[int, dict[str, float]] = {}
    state: dict[str, float] = {}
    for name, rate in (("a", 0.5), ("b", 0.5), ("a", 0.25), ("c", 0.5), ("b", None), ("a", 0.5), ("c", None), ("d", 1)):
        path = f"/services/diff-{name}"
        response = replica.api("DELETE", path) if rate is None else replica.put_rate(f"diff-{name}", rate)
        state = {key: value for key, value in {**state, f"diff-{name}": rate}.items() if value is not None}
        states[response.json()["revision"]] = state
    for from_, before in states.items():
        for to, after in states.items():
            page = diff(replica, from_, to)
            assert (page["from"], page["to"], page["nextCursor"]) == (from_, to, None)
            assert page["records"] == [
                {
                    "kind": "service",
                    "name": name,
                    "before": body(before[name]) if name in before else None,
                    "after": body(after[name]) if name in after else None,
                }
                for name in sorted(before | after)
                if before.get(name) != after.get(name)
            ]
            assert page["recordCount"] == len(page["records"])


async def test_a_diff_without_an_end_is_up_to_the_newest_and_comes_in_pages_by_kind_and_name(replica: Replica) -> None:
    start = newest(replica)
    names = ["Z", "a:b", "a", "ä", "日本", "page-x", "page-Y"]
    await commit(replica, *names)
    replica.api("PUT", "/policies/paged", json={"servicePattern": "x", **body(0.5)})
    end = newest(replica)
    whole = diff(replica, start)
    assert (whole["from"], whole["to"], whole["recordCount"]) == (start, end, 8)
    listed = [(record["kind"], record["name"]) for record in whole["records"]]
    assert listed == [("policy", "paged"), *(("service", name) for name in sorted(names))]
    for limit in (1, 3, 8):
        pages = [diff(replica, start, end, limit=limit)]
        while pages[-1]["nextCursor"] is not None:
            pages.append(diff(replica, start, end, limit=limit, cursor=pages[-1]["nextCursor"]))
            assert len(pages) <= 8
        assert [record for page in pages for record in page["records"]] == whole["records"]
        assert len(pages) == -(-8 // limit)


def test_a_revision_that_is_not_there_is_404(replica: Replica) -> None:
    for parameters in ({"from": 2**40}, {"from": 0, "to": 2**40}, {"from": 2**63 - 1}):
        response = replica.api("GET", "/diff", params=parameters)
        assert response.status_code == 404
        assert str(max(parameters.values())) in response.json()["detail"]
    assert changes(replica, revision=2**40) == []


def asks(replica: Replica) -> list[httpx.Response]:
    return [
        replica.api("GET", "/changes"),
        replica.api("GET", "/diff", params={"from": 0}),
        replica.api("POST", "/rollback", json={"revision": 0}),
    ]


def test_while_the_store_is_away_history_is_503_and_says_when_to_try_again(
    tmp_path: Path, private_postgres: PostgresServer
) -> None:
    with Replica(tmp_path, TRACING_CONFIG_DATABASE_URL=private_postgres.url()) as replica:
        replica.put_rate("a", 0.5)
        private_postgres.stop()
        for response in asks(replica):
            assert response.status_code == 503
            assert int(response.headers["Retry-After"]) > 0
            assert response.json()["type"].endswith("store-unavailable")
        private_postgres.start()
        assert len(changes(replica)) == 2


async def test_the_history_of_another_store_is_not_told_as_ours(tmp_path: Path) -> None:
    with Replica(tmp_path / "one") as replica, Replica(tmp_path / "two") as other:
        replica.put_rate("ours", 0.5)
        other.put_rate("theirs", 0.5)
        other.stop()
        for file in tmp_path.glob("one/tracing-config.db*"):
            file.unlink()
        for file in tmp_path.glob("two/tracing-config.db*"):
            file.rename(tmp_path / "one" / file.name)
        await eventually(lambda: all(response.status_code == 503 for response in asks(replica)))
        assert replica.rate("ours") == 0.5


def test_pages_of_long_records_are_bounded_in_bytes_and_lose_nothing(replica: Replica) -> None:
    start = newest(replica)
    entries = {f"long-{number:02}": {"description": "x" * 900_000} for number in range(20)}
    assert replica.api("POST", "/import", json={"services": entries}).status_code == 200
    page = replica.api("GET", "/changes", params={"revision": start + 1, "limit": 1000})
    assert len(page.content) < 10_000_000
    assert page.json()["nextCursor"] is not None
    assert {change["name"] for change in changes(replica, revision=start + 1, limit=1000)} == entries.keys()
    first = diff(replica, start, start + 1, limit=1000)
    assert first["recordCount"] == 20
    assert 1 < len(first["records"]) < 20
    second = diff(replica, start, start + 1, limit=1000, cursor=first["nextCursor"])
    assert second["records"][0]["name"] == f"long-{len(first['records']):02}"

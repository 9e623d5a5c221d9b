"""Batches: several writes are one revision, all or nothing."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.contract.writes import service
from tests.e2e.replica import Replica
from tests.e2e.seed import seed

HALF = {"samplingStrategy": {"type": "probabilistic", "param": 0.5}}
ALL = {"samplingStrategy": {"type": "probabilistic", "param": 1}}
SEVEN = {"samplingStrategy": {"type": "probabilistic", "param": 7}}
POLICY = {"servicePattern": "batch-*", **HALF}


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    folder = tmp_path_factory.mktemp("batch")
    seed(folder, [service("owned-1", 0.25, managed_by="ci"), service("owned-2", 0.25, managed_by="apply")])
    with Replica(folder) as replica:
        yield replica


def post(replica: Replica, *writes: Any, **query: str) -> httpx.Response:
    return replica.api("POST", "/batch", json={"writes": writes}, params=query)


def write(kind: str, name: str | None, record: Any, **more: Any) -> dict[str, Any]:
    return {"kind": kind, **({} if name is None else {"name": name}), "record": record, **more}


def revision(replica: Replica) -> int:
    number: int = replica.api("GET", "/services").json()["revision"]
    return number


def test_records_of_every_kind_are_written_and_deleted_as_one_revision(replica: Replica) -> None:
    before = revision(replica)
    response = post(
        replica,
        write("service", "a/b", HALF),
        write("policy", "batch", {**POLICY, "priority": 10}),
        write("default", None, {"samplingStrategy": {"type": "const", "param": 1}}),
        write("boost", "boosted", {**ALL, "duration": "30m", "reason": "incident"}),
        reason="several at once",
    )
    assert response.status_code == 200
    answer = response.json()
    assert answer.keys() == {"revision", "point", "changed"}
    assert (answer["revision"], answer["changed"]) == (before + 1, 4)
    assert response.headers["ETag"] == f'"{answer["point"]}"'
    for path in ("/services/a%2Fb", "/policies/batch", "/default", "/boosts/boosted"):
        assert replica.api("GET", path).headers["ETag"] == response.headers["ETag"]
    assert [replica.rate(name) for name in ("a/b", "batch-1", "boosted", "anything")] == [0.5, 0.5, 1, 1]
    assert replica.api("GET", "/boosts/boosted").json()["reason"] == "incident"
    event = replica.wait_for_event(lambda event: event.get("records") == 4)
    assert (event["reason"], event["at"]) == ("several at once", answer["point"])

    gone = post(
        replica,
        write("service", "a/b", None),
        write("policy", "batch", None),
        write("default", None, None),
        write("boost", "boosted", None),
    ).json()
    assert (gone["revision"], gone["changed"]) == (before + 2, 4)
    assert [replica.rate(name) for name in ("a/b", "batch-1", "boosted")] == [0.001] * 3
    assert replica.api("GET", "/default").json()["samplingStrategy"] is None


BAD: list[tuple[str, Any]] = [
    ("writes[1].kind", write("sampler", "x", HALF)),
    ("writes[1].kind", {"name": "x", "record": HALF}),
    ("writes[1].record", {"kind": "service", "name": "x"}),
    ("writes[1].record", write("service", "x", 0.5)),
    ("writes[1].record", write("service", "x", [HALF])),
    ("writes[1].ifmatch", write("service", "x", HALF, ifmatch="*")),
    ("writes[1].name", write("service", None, HALF)),
    ("writes[1].name", write("service", "", HALF)),
    ("writes[1].name", write("boost", "x\n", {**HALF, "duration": "30m"})),
    ("writes[1].name", write("policy", "x" * 1025, POLICY)),
    ("writes[1].name", write("policy", "default", POLICY)),
    ("writes[1].name", write("policy", "boost:x", POLICY)),
    ("writes[1].name", write("default", "default", HALF)),
    ("writes[1].record.samplingStrategy.param", write("service", "x", SEVEN)),
    ("writes[1].record.sampler", write("service", "x", {"sampler": 1})),
    ("writes[1].record.description", write("service", "x", {"description": "nul \x00"})),
    ("writes[1].record.servicePattern", write("policy", "x", HALF)),
    ("writes[1].record.samplingStrategy", write("policy", "x", {"servicePattern": "*"})),
    ("writes[1].record.endsAt", write("policy", "x", {**POLICY, "endsAt": "soon"})),
    ("writes[1].record.samplingStrategy", write("default", None, {})),
    ("writes[1].record.priority", write("default", None, {**HALF, "priority": 1})),
    ("writes[1].record.duration", write("boost", "x", HALF)),
    ("writes[1].record.duration", write("boost", "x", {**HALF, "duration": "31d"})),
    ("writes[1].record.endsAt", write("boost", "x", {**HALF, "endsAt": "2020-01-01T00:00:00Z"})),
    ("writes[1].record.samplingStrategy", write("boost", "x", {"duration": "30m"})),
    (
        "writes[1].record.operationStrategies",
        write("boost", "x", {"samplingStrategy": {"type": "ratelimiting", "param": 1}, "duration": "1m",
                             "operationStrategies": [{"operation": "a", "param": 0}]}),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("field", "entry"), BAD)
def test_a_bad_entry_is_named_and_nothing_is_changed(replica: Replica, field: str, entry: Any) -> None:
    before = revision(replica)
    response = post(replica, write("service", "good", HALF), entry, write("service", "better", HALF))
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field
    assert response.json()["detail"].startswith(field)
    assert revision(replica) == before
    assert replica.api("GET", "/services/good").status_code == 404


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_has_one_to_a_thousand_writes(replica: Replica, count: int) -> None:
    response = post(replica, *(write("service", f"many-{number}", HALF) for number in range(count)))
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "writes"


def test_a_thousand_writes_are_one_revision_of_which_only_the_changed_count(replica: Replica) -> None:
    before = revision(replica)
    writes = [write("service", f"many-{number}", HALF) for number in range(1000)]
    assert post(replica, *writes).json()["changed"] == 1000
    assert post(replica, *writes).json() | {"point": ""} == {"revision": before + 1, "point": "", "changed": 0}
    again = post(replica, *writes[:10], write("service", "many-10", ALL)).json()
    assert (again["revision"], again["changed"]) == (before + 2, 1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (write("service", "x", HALF), write("service", "x", None)),
        (write("default", None, HALF), write("default", None, None)),
        (write("boost", "x", {**HALF, "duration": "1m"}), write("boost", "x", {**HALF, "duration": "1m"})),
    ],
)
def test_the_same_record_twice_is_refused_and_both_entries_are_named(replica: Replica, first: Any, second: Any) -> None:
    before = revision(replica)
    response = post(replica, write("service", "other", HALF), first, write("policy", "x", POLICY), second)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "writes[3]"
    assert "writes[1]" in response.json()["detail"]
    assert revision(replica) == before


def test_an_entry_may_expect_an_etag(replica: Replica) -> None:
    old = replica.put_rate("guarded", 0.25).headers["ETag"]
    new = replica.put_rate("guarded", 0.5).headers["ETag"]
    before = revision(replica)
    for record in (ALL, None):
        stale = post(replica, write("service", "beside", HALF), write("service", "guarded", record, ifMatch=old))
        assert stale.status_code == 412
        problem = stale.json()
        assert (problem["current"], stale.headers["ETag"]) == (new, new)
        assert problem["errors"][0]["field"] == "writes[1].ifMatch"
        absent = post(replica, write("service", "beside", HALF), write("service", "nobody", record, ifMatch="*"))
        assert absent.status_code == 412
        assert absent.json()["current"] is None
        assert absent.json()["errors"][0]["field"] == "writes[1].ifMatch"
    assert post(replica, write("service", "guarded", ALL, ifMatch="120")).status_code == 400
    assert revision(replica) == before
    fits = post(replica, write("service", "beside", HALF, ifMatch=None), write("service", "guarded", ALL, ifMatch=new))
    assert fits.json()["changed"] == 2
    there = post(replica, write("service", "guarded", None, ifMatch="*"), write("default", None, HALF, ifMatch="*"))
    assert there.json()["changed"] == 2
    assert post(replica, write("default", None, None)).json()["changed"] == 1


def test_to_delete_what_is_not_there_is_refused_naming_the_entry(replica: Replica) -> None:
    before = revision(replica)
    for kind in ("service", "policy", "boost"):
        for query in ({}, {"dryRun": "true"}):
            response = post(replica, write("service", "beside-2", HALF), write(kind, "nobody", None), **query)
            assert response.status_code == 404
            assert response.json()["errors"][0]["field"] == "writes[1]"
            assert "nobody" in response.json()["detail"]
    assert revision(replica) == before


def test_records_of_owners_are_all_listed_and_can_be_taken_over(replica: Replica) -> None:
    before = revision(replica)
    writes = [write("service", "free", HALF), write("service", "owned-1", ALL), write("service", "owned-2", None)]
    refused = post(replica, *writes)
    assert refused.status_code == 409
    assert refused.json()["records"] == [
        {"kind": "service", "name": "owned-1", "managedBy": "ci"},
        {"kind": "service", "name": "owned-2", "managedBy": "apply"},
    ]
    assert revision(replica) == before
    assert post(replica, *writes, takeover="true").json()["changed"] == 3
    assert replica.api("GET", "/services/owned-1").json()["managedBy"] is None


def test_a_dry_run_of_a_batch_changes_nothing(replica: Replica) -> None:
    before = revision(replica)
    writes = [write("service", "dry", HALF), write("boost", "dry", {**ALL, "duration": "30m"}), write("policy", "dry", POLICY)]
    answer = post(replica, *writes, dryRun="true").json()
    assert (answer["dryRun"], answer["revision"], answer["recordCount"]) == (True, before, 3)
    assert [(record["kind"], record["before"]) for record in answer["records"]] == [
        ("service", None), ("boost", None), ("policy", None)
    ]  # fmt: skip
    assert revision(replica) == before


def test_what_was_read_can_be_edited_and_sent_as_entries(replica: Replica) -> None:
    post(replica, write("service", "s", HALF), write("policy", "p", POLICY), write("boost", "b", {**HALF, "duration": "30m"}))
    entries = [
        write(kind, name, replica.api("GET", path).json())
        for kind, name, path in (
            ("service", "s", "/services/s"), ("policy", "p", "/policies/p"), ("boost", "b", "/boosts/b")
        )
    ]  # fmt: skip
    assert post(replica, *entries).json()["changed"] == 0
    entries[2]["record"]["samplingStrategy"]["param"] = 1
    assert post(replica, *entries).json()["changed"] == 1
    assert replica.rate("b") == 1
    replica.api("PUT", "/default", json=HALF)
    assert post(replica, write("default", None, replica.api("GET", "/default").json())).json()["changed"] == 0


def test_a_batch_over_one_mebibyte_is_refused(replica: Replica) -> None:
    response = post(replica, write("service", "large", {"description": "x" * 2**20}))
    assert response.status_code == 413


def test_preconditions_of_the_whole_batch_are_refused_not_ignored(replica: Replica) -> None:
    body = {"writes": [write("service", "x", HALF)]}
    assert replica.api("POST", "/batch", json=body, headers={"If-Match": "*"}).status_code == 400

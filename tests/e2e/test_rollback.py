"""Rollback: what is live afterwards is what was at that revision, boosts apart, and nothing else."""

import json
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import httpx
import pytest

from sampling.records import (
    Boost,
    Key,
    Record,
    ServiceConfiguration,
    encode_record,
)
from sampling.strategy import SamplingStrategy
from storage.interface import Terms, Write
from tests.e2e.replica import Replica
from tests.e2e.stores import STORES, records_of, replica_on, store_of
from tests.waiting import eventually

DEFAULT = Key("policy", "default")


SCOPED_TOKEN = "token-of-an-editor-who-may-write-few-services"


@pytest.fixture(scope="module", params=STORES)
def replica(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    folder = tmp_path_factory.mktemp("rollback")
    digest = sha256(SCOPED_TOKEN.encode()).hexdigest()
    entry = {"name": "scoped", "role": "editor", "services": ["scoped-*"], "sha256": digest}
    (folder / "tokens.json").write_text(json.dumps([entry]))
    with replica_on(request.param, folder, request, TRACING_CONFIG_TOKENS_FILE=str(folder / "tokens.json")) as replica:
        yield replica


def newest(replica: Replica) -> int:
    revision: int = replica.api("GET", "/changes", params={"limit": 1}).json()["changes"][0]["revision"]
    return revision


def rollback(replica: Replica, revision: int, **parameters: Any) -> httpx.Response:
    return replica.api("POST", "/rollback", json={"revision": revision}, params=parameters)


def differing(replica: Replica, from_: int, to: int | None = None) -> set[Key]:
    """The records that are not the same at two revisions."""
    found: set[Key] = set()
    cursor: str | None = ""
    while cursor is not None:
        parameters = {"from": from_, **({} if to is None else {"to": to}), "limit": 1000, "cursor": cursor}
        page = replica.api("GET", "/diff", params=parameters).json()
        found |= {Key(record["kind"], record["name"]) for record in page["records"]}
        cursor = page["nextCursor"]
    return found


async def bodies(replica: Replica) -> dict[Key, bytes]:
    """The text of every record in the tables."""
    return {key: stored.body for key, stored in (await records_of(replica)).items()}


def without_boosts(records: Mapping[Key, bytes]) -> dict[Key, bytes]:
    return {key: body for key, body in records.items() if key.kind != "boost"}


def service(rate: float, owner: str | None = None) -> ServiceConfiguration:
    return ServiceConfiguration(SamplingStrategy("probabilistic", rate), managed_by=owner)


def boost(rate: float) -> Boost:
    return Boost(datetime.now(UTC) + timedelta(hours=1), SamplingStrategy("probabilistic", rate), reason="incident")


async def commit(replica: Replica, records: Mapping[Key, Record | None], owner: str | None = None) -> int:
    """Write records as another process does, and wait until the replica serves them."""
    writes = [Write(key, None if record is None else encode_record(record)) for key, record in records.items()]
    async with store_of(replica) as store:
        revision = (await store.commit(writes, Terms(actor="another", owner=owner, takeover=True))).head.point.revision
    await eventually(lambda: served_revision(replica) >= revision)
    return revision


def served_revision(replica: Replica) -> int:
    revision: int = replica.api("GET", "/services", params={"limit": 1}).json()["revision"]
    return revision


def put_some_of_every_kind(replica: Replica) -> None:
    """A state in which every kind of record says something, with every kind of field."""
    operations = {"operationStrategies": [{"operation": "GET /health", "param": 0}, {"operation": "é", "param": 1}]}
    half = {"samplingStrategy": {"type": "probabilistic", "param": 0.5, "lowerBoundTracesPerSecond": 0.25}}
    limit = {"samplingStrategy": {"type": "ratelimiting", "param": 7}}
    window = {"startsAt": "2020-01-01T00:00:00+02:00", "endsAt": "2099-01-01T00:00:00Z"}
    for path, body in (
        ("/services/edited", {**half, **operations, "description": "as it was, “quoted”\n"}),
        ("/services/deleted", limit),
        ("/services/a%2Fb", {**half, "enabled": False, "exportConfig": {"jaeger": {"enabled": True}}}),
        ("/policies/edited", {"servicePattern": "team-*", "priority": -3, **half, **window}),
        ("/policies/deleted", {"servicePattern": "*", **operations}),
        ("/default", {**limit, "description": "seven"}),
    ):
        response = replica.api("PUT", path, json=body)
        assert response.status_code == 200, response.text


def change_some_of_every_kind(replica: Replica) -> None:
    """Edit, delete and make, in commits of their own, some records more than once."""
    for rate in (0.125, 0.75):
        replica.put_rate("edited", rate)
        replica.put_rate("new", rate)
        replica.put_rate("new-and-gone", rate)
        replica.put_rate("deleted", rate)
        body = {"samplingStrategy": {"type": "probabilistic", "param": rate}}
        replica.api("PUT", "/default", json=body)
        replica.api("PUT", "/policies/edited", json={"servicePattern": "team-?", **body})
        replica.api("PUT", "/policies/new", json={"servicePattern": "*", "priority": 5, **body})
    for path in ("/services/deleted", "/services/new-and-gone", "/policies/deleted"):
        assert replica.api("DELETE", path).status_code == 200


POLLED = ("edited", "deleted", "a/b", "new", "new-and-gone", "team-1", "team-22", "nobody")


def answers(replica: Replica) -> list[tuple[str, bytes]]:
    """What clients are answered over both protocols."""
    return [(str(replica.poll_http(name)), replica.poll_grpc(name).SerializeToString()) for name in POLLED]


async def test_after_a_rollback_what_is_live_is_what_was_and_the_diff_is_empty(replica: Replica) -> None:
    put_some_of_every_kind(replica)
    then, state, answered = newest(replica), await bodies(replica), answers(replica)
    change_some_of_every_kind(replica)
    assert answers(replica) != answered
    changed = differing(replica, then)
    response = rollback(replica, then, reason="undo")
    assert response.status_code == 200, response.text
    assert answers(replica) == answered, "on its 200 the replica serves it"
    revision = newest(replica)
    assert response.json() == {
        "revision": revision,
        "point": response.headers["ETag"].strip('"'),
        "changed": len(changed),
    }
    assert differing(replica, then) == set()
    assert await bodies(replica) == state, "byte for byte"
    rows = replica.api("GET", "/changes", params={"revision": revision}).json()["changes"]
    assert {Key(row["kind"], row["name"]) for row in rows} == changed
    assert {(row["actor"], row["reason"]) for row in rows} == {("admin", "undo")}


async def test_a_rollback_of_a_rollback_gives_back_what_was_there_byte_for_byte(replica: Replica) -> None:
    put_some_of_every_kind(replica)
    then = newest(replica)
    change_some_of_every_kind(replica)
    before, state, answered = newest(replica), await bodies(replica), answers(replica)
    assert rollback(replica, then).json()["changed"] > 0
    assert await bodies(replica) != state
    assert rollback(replica, before).json()["changed"] > 0
    assert await bodies(replica) == state
    assert answers(replica) == answered
    assert differing(replica, before) == set()


async def test_boosts_stay_as_they_are(replica: Replica) -> None:
    kept, ended, made = (Key("boost", name) for name in ("kept", "ended", "made"))
    await commit(replica, {kept: boost(0.5), ended: boost(0.5), Key("service", "kept"): service(0.125)})
    then = newest(replica)
    await commit(replica, {kept: boost(0.75), ended: None, made: boost(0.75), Key("service", "kept"): service(0.25)})
    state = await bodies(replica)
    assert rollback(replica, then).json()["changed"] == 1
    after = await bodies(replica)
    assert {key for key in state | after if state.get(key) != after.get(key)} == {Key("service", "kept")}
    assert differing(replica, then) == {kept, ended, made}
    assert (replica.rate("kept"), replica.rate("made")) == (0.75, 0.75)
    revision = newest(replica)
    assert rollback(replica, then).json()["changed"] == 0, "where only boosts differ there is nothing to do"
    assert newest(replica) == revision


async def test_a_rollback_to_the_beginning_leaves_boosts_and_a_silent_default(replica: Replica) -> None:
    put_some_of_every_kind(replica)
    await commit(replica, {Key("boost", "boosted"): boost(0.5)})
    assert rollback(replica, 0).status_code == 200
    after = await bodies(replica)
    assert Key("boost", "boosted") in after
    assert without_boosts(after) == {DEFAULT: b'{"servicePattern":"*","enabled":false}'}
    assert replica.api("GET", "/default").json()["samplingStrategy"] is None
    assert replica.api("GET", "/services").json()["services"] == []
    assert replica.rate("edited") == 0.001


def test_where_nothing_is_to_be_done_nothing_is_committed(replica: Replica) -> None:
    replica.put_rate("same", 0.5)
    revision = newest(replica)
    response = rollback(replica, revision)
    assert response.status_code == 200
    tag = replica.api("GET", "/services/same").headers["ETag"]
    assert response.json() == {"revision": revision, "point": tag.strip('"'), "changed": 0}
    assert newest(replica) == revision


async def test_records_of_other_owners_are_all_listed_and_nothing_is_changed_unless_taken_over(replica: Replica) -> None:
    """More of them than other refusals show, some edited, some deleted meanwhile, beside some that nobody manages."""
    owned = {Key("service", f"owned-{number:04}"): f"team-{number % 3}" for number in range(1200)}
    free, pruned = Key("service", "free"), Key("service", "owned-0000")
    then = await commit(replica, {free: service(0.5)} | {key: service(0.5, owner) for key, owner in owned.items()})
    state = await bodies(replica)
    edited = {key: service(0.25, owner) for key, owner in owned.items()}
    await commit(replica, {free: service(0.25)} | edited | {pruned: None})
    changed = await bodies(replica)
    for parameters in ({}, {"dryRun": "true"}):
        response = rollback(replica, then, **parameters)
        assert response.status_code == 409
        problem = response.json()
        assert problem["type"].endswith("owned-by-another")
        assert "takeover=true" in problem["detail"]
        listed = {Key(record["kind"], record["name"]): record["managedBy"] for record in problem["records"]}
        assert listed == {key: owner for key, owner in owned.items() if key != pruned}
        assert len(problem["records"]) == len(listed)
    assert await bodies(replica) == changed
    assert differing(replica, then) == {*owned, free}
    response = rollback(replica, then, takeover="true")
    assert response.json()["changed"] == 1201
    assert await bodies(replica) == state, "the owners too are those of then"


def test_a_dry_run_tells_what_the_rollback_then_does_and_changes_nothing(replica: Replica) -> None:
    put_some_of_every_kind(replica)
    then = newest(replica)
    change_some_of_every_kind(replica)
    before, answered = newest(replica), answers(replica)
    dry = rollback(replica, then, dryRun="true")
    assert dry.status_code == 200
    told = dry.json()
    assert (told["dryRun"], told["revision"], newest(replica)) == (True, before, before)
    assert answers(replica) == answered
    changed = rollback(replica, then).json()
    rows = replica.api("GET", "/changes", params={"revision": changed["revision"], "limit": 1000}).json()["changes"]
    done = [{name: row[name] for name in ("kind", "name", "before", "after")} for row in reversed(rows)]
    assert told["records"] == done
    assert told["recordCount"] == len(done) == changed["changed"]


async def test_a_dry_run_waits_until_it_stands_on_what_the_store_has(replica: Replica) -> None:
    """Somebody else has just committed: the log has it already, this replica may not serve it yet."""
    then = newest(replica)
    async with store_of(replica) as store:
        write = Write(Key("service", "just-now"), encode_record(service(0.5)))
        head = (await store.commit([write], Terms(actor="another"))).head.point
        told = rollback(replica, then, dryRun="true")
    assert told.status_code == 200, told.text
    assert told.json()["revision"] == head.revision
    assert [record["name"] for record in told.json()["records"]] == ["just-now"]


def test_the_reason_comes_from_the_body_or_the_query_or_says_what_was_done(replica: Replica) -> None:
    cases: list[tuple[dict[str, str], dict[str, str], str]] = [
        ({"reason": "a"}, {}, "a"),
        ({}, {"reason": "b"}, "b"),
        ({}, {}, "rollback to revision {}"),
    ]
    for body, query, reason in cases:
        then = newest(replica)
        replica.put_rate("reason", then % 997 / 1000)
        answer = replica.api("POST", "/rollback", json={"revision": then, **body}, params=query).json()
        row = replica.api("GET", "/changes", params={"revision": answer["revision"]}).json()["changes"][0]
        assert row["reason"] == reason.format(then)


async def test_an_editor_rolls_back_within_the_scope_or_not_at_all(replica: Replica) -> None:
    headers = {"Authorization": f"Bearer {SCOPED_TOKEN}"}
    replica.put_rate("scoped-a", 0.5)
    then = newest(replica)
    replica.put_rate("scoped-a", 0.25)
    replica.put_rate("other", 0.25)
    changed = await bodies(replica)
    for parameters in ({}, {"takeover": "true"}, {"dryRun": "true"}):
        response = replica.api("POST", "/rollback", json={"revision": then}, headers=headers, params=parameters)
        assert response.status_code == 403
        assert await bodies(replica) == changed
    replica.api("DELETE", "/services/other")
    response = replica.api("POST", "/rollback", json={"revision": then}, headers=headers)
    assert response.json()["changed"] == 1
    assert replica.rate("scoped-a") == 0.5


@pytest.mark.parametrize(
    ("status", "field", "body"),
    [
        (422, "revision", {}),
        (422, "revision", {"revision": -1}),
        (422, "revision", {"revision": "3"}),
        (422, "revision", {"revision": None}),
        (422, "revision", {"revision": 2**63}),
        (422, "to", {"revision": 0, "to": 1}),
        (422, "reason", {"revision": 0, "reason": "x" * 1025}),
        (422, "reason", {"revision": 0, "reason": "\0"}),
        (404, None, {"revision": 2**40}),
    ],
)
def test_what_cannot_be_gone_back_to_is_refused_and_changes_nothing(
    replica: Replica, status: int, field: str | None, body: dict[str, Any]
) -> None:
    before = newest(replica)
    response = replica.api("POST", "/rollback", json=body)
    assert response.status_code == status
    if field is not None:
        assert response.json()["errors"][0]["field"] == field
    assert newest(replica) == before


def test_commits_of_others_meanwhile_are_rolled_back_too_or_come_after(replica: Replica) -> None:
    """Each rollback made, at its revision, exactly what was: no write slipped in between, and none kept it from ending."""
    then = newest(replica)
    stop = threading.Event()
    written: list[int] = []

    def write() -> None:
        while not stop.is_set():
            number = len(written)
            written.append(replica.put_rate(f"busy-{number % 7}", number % 997 / 1000).status_code)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        responses = [rollback(replica, then) for _ in range(8)]
    finally:
        stop.set()
        thread.join()
    assert set(written) <= {200}
    assert [response.status_code for response in responses] == [200] * len(responses)
    for response in responses:
        assert differing(replica, then, response.json()["revision"]) == set()
    final = rollback(replica, then)
    assert final.status_code == 200
    assert differing(replica, then) == set()

"""What holds for every write of a record: preconditions, owners, reasons, dry runs, bounded bodies."""

import gzip
import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sampling.records import Key, SamplingPolicy, encode_record
from sampling.strategy import SamplingStrategy
from storage.interface import Write
from tests.contract.writes import service
from tests.e2e.replica import TOKEN, Replica, strategies
from tests.e2e.seed import seed

HALF = {"samplingStrategy": {"type": "probabilistic", "param": 0.5}}
ALL = {"samplingStrategy": {"type": "probabilistic", "param": 1}}

RECORDS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "service": ("PUT", "/services/{}", HALF, ALL),
    "policy": ("PUT", "/policies/{}", {"servicePattern": "x", **HALF}, {"servicePattern": "x", **ALL}),
    "default": ("PUT", "/default", HALF, ALL),
    "boost": ("POST", "/boosts", {**HALF, "duration": "30m"}, {**ALL, "duration": "30m"}),
}
"""For each kind: how it is written, and two records."""


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    folder = tmp_path_factory.mktemp("rules")
    file = folder / "strategies.json"
    file.write_text(strategies(0.75, **{"in-file": 0.125}))
    with Replica(folder, TRACING_CONFIG_STRATEGIES_FILE=str(file)) as replica:
        yield replica


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A server with a record of each kind that has owners, managed by `ci`."""
    folder = tmp_path_factory.mktemp("owned")
    policy = encode_record(SamplingPolicy("owned*", 0, SamplingStrategy("probabilistic", 0.25), managed_by="ci"))
    policies = [Write(Key("policy", name), policy) for name in ("owned", "default")]
    seed(folder, [service("owned", 0.25, managed_by="ci"), *policies])
    with Replica(folder) as replica:
        yield replica


def write(replica: Replica, kind: str, name: str, second: bool = False, **arguments: Any) -> httpx.Response:
    method, path, *bodies = RECORDS[kind]
    body = {**bodies[second], **({"service": name} if kind == "boost" else {})}
    return replica.api(method, path.format(name), json=body, **arguments)


def path(kind: str, name: str) -> str:
    return f"/boosts/{name}" if kind == "boost" else RECORDS[kind][1].format(name)


def revision(replica: Replica) -> int:
    number: int = replica.api("GET", "/services").json()["revision"]
    return number


def matching(tag: str) -> dict[str, Any]:
    return {"headers": {"If-Match": tag}}


@pytest.mark.parametrize("kind", RECORDS)
def test_a_stale_etag_is_refused_with_the_current_one(replica: Replica, kind: str) -> None:
    first = write(replica, kind, "tags").headers["ETag"]
    second = write(replica, kind, "tags", True, **matching(first))
    assert second.status_code == 200
    current = second.headers["ETag"]
    before = revision(replica)
    for refused in (
        write(replica, kind, "tags", **matching(first)),
        write(replica, kind, "tags", headers={"If-None-Match": "*"}),
        write(replica, kind, "tags", **matching(first), params={"dryRun": "true"}),
        replica.api("DELETE", path(kind, "tags"), **matching(first)),
    ):
        assert refused.status_code == 412
        assert (refused.json()["current"], refused.headers["ETag"]) == (current, current)
        assert refused.headers["Content-Type"] == "application/problem+json"
    for tag in ("120", f"{current}, {current}", ""):
        assert write(replica, kind, "tags", **matching(tag)).status_code == 400
    assert write(replica, kind, "tags", headers={"If-None-Match": current}).status_code == 400
    assert replica.api("DELETE", path(kind, "tags"), headers={"If-None-Match": "*"}).status_code == 400
    assert revision(replica) == before
    assert replica.api("DELETE", path(kind, "tags"), **matching(f"W/{current}")).status_code == 200


@pytest.mark.parametrize("kind", ["service", "policy", "boost"])
def test_what_is_not_there_is_not_deleted_and_has_no_etag(replica: Replica, kind: str) -> None:
    before = revision(replica)
    assert replica.api("DELETE", path(kind, "nobody")).status_code == 404
    assert replica.api("DELETE", path(kind, "nobody"), params={"dryRun": "true"}).status_code == 404
    there = matching("*")
    for refused in (write(replica, kind, "nobody", **there), replica.api("DELETE", path(kind, "nobody"), **there)):
        assert refused.status_code == 412
        assert refused.json()["current"] is None
    assert revision(replica) == before
    assert write(replica, kind, "nobody", headers={"If-None-Match": "*"}).status_code == 200
    assert write(replica, kind, "nobody", True, **there).status_code == 200
    assert replica.api("DELETE", path(kind, "nobody"), **there).status_code == 200


@pytest.mark.parametrize("kind", ["service", "policy", "default"])
def test_a_record_of_an_owner_is_kept_for_it_until_it_is_taken_over(owned: Replica, kind: str) -> None:
    before = revision(owned)
    assert owned.api("GET", path(kind, "owned")).json()["managedBy"] == "ci"
    for refused in (
        write(owned, kind, "owned"),
        write(owned, kind, "owned", params={"dryRun": "true"}),
        owned.api("DELETE", path(kind, "owned")),
    ):
        assert refused.status_code == 409
        assert refused.json()["managedBy"] == "ci"
        key = {"kind": "policy", "name": "default"} if kind == "default" else {"kind": kind, "name": "owned"}
        assert refused.json()["records"] == [{**key, "managedBy": "ci"}]
        assert "takeover" in refused.json()["detail"]
    assert revision(owned) == before
    taken = write(owned, kind, "owned", params={"takeover": "true"})
    assert (taken.status_code, taken.json()["managedBy"]) == (200, None)
    assert write(owned, kind, "owned", True).status_code == 200
    assert owned.api("DELETE", path(kind, "owned")).status_code == 200


@pytest.mark.parametrize("kind", RECORDS)
def test_a_dry_run_tells_what_would_change_and_changes_nothing(replica: Replica, kind: str) -> None:
    write(replica, kind, "dry")
    before = revision(replica)
    shown = replica.api("GET", path(kind, "dry")).json()
    run: dict[str, Any] = {"params": {"dryRun": "true"}}
    changed = write(replica, kind, "dry", True, **run).json()
    deleted = replica.api("DELETE", path(kind, "dry"), **run).json()
    for answer in (changed, deleted):
        assert (answer["dryRun"], answer["revision"], answer["recordCount"]) == (True, before, 1)
        assert answer["records"][0]["before"]["samplingStrategy"]["param"] == 0.5
    assert changed["records"][0]["after"]["samplingStrategy"]["param"] == 1
    assert (deleted["records"][0]["after"] or {}).get("samplingStrategy") is None
    if kind != "boost":
        assert write(replica, kind, "dry", **run).json()["recordCount"] == 0
    assert revision(replica) == before
    assert replica.api("GET", path(kind, "dry")).json() == shown
    replica.api("DELETE", path(kind, "dry"))


HEALTH = {"operation": "GET /health", "param": 0}
BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "a limit beside operations": (
        {"samplingStrategy": {"type": "ratelimiting", "param": 5}, "operationStrategies": [HEALTH]},
        "operationStrategies",
        "clients drop a rate limit",
    ),
    "an operation twice": ({**HALF, "operationStrategies": [HEALTH, HEALTH]}, "operationStrategies[1].operation", "twice"),
    "a control character": (
        {**HALF, "operationStrategies": [{"operation": "a\nb", "param": 0}]},
        "operationStrategies[0].operation",
        "control characters",
    ),
    "a long operation": (
        {**HALF, "operationStrategies": [{"operation": "x" * 1025, "param": 0}]},
        "operationStrategies[0].operation",
        "at most 1024",
    ),
    "an unknown type": (
        {"samplingStrategy": {"type": "adaptive", "param": 0.5}},
        "samplingStrategy.type",
        "must be one of const, probabilistic, ratelimiting",
    ),
    "a character that no database keeps": ({**HALF, "text": "\0"}, "text", "U+0000"),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("kind", RECORDS)
def test_what_no_record_can_hold_is_refused_with_its_field_alone_and_in_a_batch(replica: Replica, kind: str, bad: str) -> None:
    method, place, given, _ = RECORDS[kind]
    body, field, said = BAD[bad]
    text = "reason" if kind == "boost" else "description"
    field = field.replace("text", text)
    record = {**given, **{(text if key == "text" else key): value for key, value in body.items()}}
    before = revision(replica)
    alone = replica.api(method, place.format("bad"), json={**record, **({"service": "bad"} if kind == "boost" else {})})
    entry = {"kind": kind, "record": record, **({} if kind == "default" else {"name": "bad"})}
    good = {"kind": "service", "name": "good", "record": {**HALF, "description": bad}}
    batch = replica.api("POST", "/batch", json={"writes": [good, entry]})
    for refused, where in ((alone, field), (batch, f"writes[1].record.{field}")):
        assert refused.status_code == 422, refused.text
        assert refused.json()["errors"][0]["field"] == where
        assert said in refused.json()["errors"][0]["message"]
    assert revision(replica) == before


def test_an_instant_that_is_none_is_refused_with_an_example(replica: Replica) -> None:
    for instant in ("tomorrow", "2026-12-01T00:00:00", "2026-13-01T00:00:00Z"):
        refused = replica.api("PUT", "/policies/instants", json={"servicePattern": "x", **HALF, "startsAt": instant})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "startsAt")
        assert "like 2026-12-01T00:00:00Z" in refused.json()["detail"]


def test_a_precondition_that_is_given_twice_is_refused(replica: Replica) -> None:
    tag = write(replica, "service", "twice").headers["ETag"]
    headers = [("Authorization", f"Bearer {TOKEN}"), ("If-Match", tag), ("If-Match", '"1-00000000"')]
    url = f"{replica.sidecar_url}/api/v1/config/services/twice"
    refused = httpx.put(url, headers=headers, json=ALL, timeout=10, verify=False)
    assert (refused.status_code, refused.json()["type"]) == (400, "urn:tracing-config:problem:bad-precondition")
    assert replica.api("GET", "/services/twice").headers["ETag"] == tag


def test_answers_tell_of_the_entry_in_the_file_that_is_covered_and_uncovered(replica: Replica) -> None:
    shown = replica.api("GET", "/services/in-file").json()
    assert (shown["source"], shown["revision"]) == ("file", None)
    assert write(replica, "service", "in-file").json()["coversFileEntry"] is True
    assert replica.rate("in-file") == 0.5
    assert replica.api("GET", "/services/in-file").json()["coversFileEntry"] is True
    assert replica.api("DELETE", "/services/in-file").json()["uncoversFileEntry"] is True
    assert replica.rate("in-file") == 0.125
    again = replica.api("DELETE", "/services/in-file")
    assert again.status_code == 404
    assert "strategies file" in again.json()["detail"]
    assert write(replica, "service", "elsewhere").json()["coversFileEntry"] is False
    assert replica.api("DELETE", "/services/elsewhere").json()["uncoversFileEntry"] is False
    assert write(replica, "default", "").json()["coversFileEntry"] is True


@pytest.mark.parametrize("reason", ["x" * 1025, "nul \0"])
def test_a_reason_that_the_log_cannot_keep_is_refused(replica: Replica, reason: str) -> None:
    before = revision(replica)
    for kind in RECORDS:
        refused = write(replica, kind, "reasons", params={"reason": reason})
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["field"] == "reason"
    assert revision(replica) == before
    assert write(replica, "service", "reasons", params={"reason": "😀" * 1024}).status_code == 200


@pytest.mark.parametrize("query", [{"dryrun": "true"}, {"dryRun": "perhaps"}, {"takeover": ""}, {"limit": "5"}])
def test_a_query_that_would_be_ignored_is_refused(replica: Replica, query: dict[str, str]) -> None:
    before = revision(replica)
    for kind in RECORDS:
        for refused in (write(replica, kind, "query", params=query), replica.api("DELETE", path(kind, "query"), params=query)):
            assert refused.status_code == 400
            assert refused.json()["errors"][0]["field"] == next(iter(query))
    assert revision(replica) == before


def together(*writes: Any) -> list[httpx.Response]:
    """The answers to writes that are sent at the same time."""
    answers: list[httpx.Response] = []
    start = threading.Barrier(len(writes))

    def send(write: Any) -> None:
        start.wait()
        answers.append(write())

    threads = [threading.Thread(target=send, args=(write,)) for write in writes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def editor(replica: Replica, number: int, **arguments: Any) -> Any:
    """Writes a record of which every part says who wrote it."""
    record = {"samplingStrategy": {"type": "probabilistic", "param": number / 16}, "description": str(number)}
    return lambda: replica.api("PUT", "/services/edited", json=record, **arguments)


def test_of_two_editors_with_the_same_etag_one_is_refused(replica: Replica) -> None:
    for _ in range(5):
        tag = write(replica, "service", "edited").headers["ETag"]
        answers = together(*(editor(replica, number, **matching(tag)) for number in (1, 2)))
        won, refused = sorted(answers, key=lambda answer: answer.status_code)
        assert (won.status_code, refused.status_code) == (200, 412)
        assert refused.json()["current"] == won.headers["ETag"]
        assert replica.api("GET", "/services/edited").json() == won.json()


def test_of_two_editors_without_an_etag_both_are_in_the_log_and_neither_is_half_applied(replica: Replica) -> None:
    for _ in range(5):
        before = write(replica, "service", "edited").json()["revision"]
        together(editor(replica, 1), editor(replica, 2))
        last = replica.api("GET", "/services/edited").json()
        assert last["samplingStrategy"]["param"] == int(last["description"]) / 16
        changes = replica.api("GET", "/changes", params={"kind": "service", "name": "edited", "limit": 2}).json()["changes"]
        assert [change["revision"] for change in changes] == [before + 2, before + 1]
        assert {change["after"]["description"] for change in changes} == {"1", "2"}
        assert changes[0]["after"]["description"] == last["description"]
        assert changes[0]["before"] == changes[1]["after"]


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(replica: Replica) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", httpx.URL(replica.sidecar_url).port, timeout=5)
    connection.putrequest("PUT", "/api/v1/config/services/large")
    connection.putheader("Authorization", f"Bearer {TOKEN}")
    connection.putheader("Content-Length", str(2**21))
    connection.endheaders()
    with connection.getresponse() as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (413, "application/problem+json")
    connection.close()


def test_a_body_that_does_not_say_its_size_is_bounded_too(replica: Replica) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * 2**15

    assert replica.api("PUT", "/services/large", content=endless()).status_code == 413
    bomb = gzip.compress(b" " * 2**26)
    assert replica.api("PUT", "/services/large", content=bomb, headers={"Content-Encoding": "gzip"}).status_code == 413


def test_a_compressed_body_is_read_and_a_damaged_one_refused(replica: Replica) -> None:
    packed = gzip.compress(json.dumps(HALF).encode())
    zipped = {"Content-Encoding": "gzip"}
    assert replica.api("PUT", "/services/zipped", content=packed, headers=zipped).status_code == 200
    for damaged in (b"garbage", packed[:-12]):
        refused = replica.api("PUT", "/services/zipped", content=damaged, headers=zipped)
        assert (refused.status_code, refused.headers["Content-Type"]) == (400, "application/problem+json")

"""The audit has no holes: whatever changes the configuration is in the log of changes, once, with who and why."""

import json
import threading
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from sampling.catalog import Catalog
from sampling.records import Change, Key, Kind, Stored
from server.sidecar.route import Route
from server.sidecar.routes import ROUTES
from server.sidecar.views import boost_view, default_view, policy_view, service_view
from storage.checksum import checksum_of
from tests.e2e.replica import TOKEN, Replica
from tests.e2e.stores import STORES, records_of, replica_on, store_of

ACTOR, ACTOR_S_TOKEN = "auditor", "token-of-somebody-who-is-not-the-admin"


@pytest.fixture(scope="module", params=STORES)
def replica(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    folder = tmp_path_factory.mktemp("audit")
    entry = {"name": ACTOR, "role": "editor", "sha256": sha256(ACTOR_S_TOKEN.encode()).hexdigest()}
    (folder / "tokens.json").write_text(json.dumps([entry]))
    with replica_on(request.param, folder, request, TRACING_CONFIG_TOKENS_FILE=str(folder / "tokens.json")) as replica:
        yield replica


def rate(param: float) -> dict[str, Any]:
    return {"samplingStrategy": {"type": "probabilistic", "param": param}}


class Example(NamedTuple):
    """How a route is made to change something."""

    path: str
    """Below ``/api/v1/config``."""

    body: Any = None
    before: tuple[str, str, Any] | None = None
    """A write without which there would be nothing to change."""

    query: Mapping[str, str] = {}


PUT_SERVICE = ("PUT", "/services/audited", rate(0.125))
PUT_POLICY = ("PUT", "/policies/audited", {"servicePattern": "audited-*", **rate(0.125)})
POST_BOOST = ("POST", "/boosts", {"service": "audited", **rate(0.125), "duration": "1h", "reason": "incident"})

EXAMPLES: Mapping[tuple[str, str], Example] = {
    ("PUT", "/services/{service}"): Example("/services/audited", rate(0.5)),
    ("DELETE", "/services/{service}"): Example("/services/audited", before=PUT_SERVICE),
    ("PUT", "/policies/{name}"): Example("/policies/audited", {"servicePattern": "audited-?", **rate(0.5)}),
    ("DELETE", "/policies/{name}"): Example("/policies/audited", before=PUT_POLICY),
    ("PUT", "/default"): Example("/default", rate(0.5)),
    ("DELETE", "/default"): Example("/default", before=("PUT", "/default", rate(0.25))),
    ("POST", "/boosts"): Example("/boosts", {"service": "audited", **rate(0.5), "duration": "30m", "reason": ""}),
    ("DELETE", "/boosts/{service}"): Example("/boosts/audited", before=POST_BOOST),
    ("POST", "/batch"): Example(
        "/batch",
        {
            "writes": [
                {"kind": "service", "name": "audited", "record": None},
                {"kind": "service", "name": "audited-2", "record": rate(0.5)},
                {"kind": "policy", "name": "audited-2", "record": {"servicePattern": "x", **rate(0.5)}},
                {"kind": "default", "record": rate(0.75)},
                {"kind": "boost", "name": "audited-2", "record": {"duration": "30m", **rate(0.5)}},
            ]
        },
        before=PUT_SERVICE,
    ),
    ("POST", "/rollback"): Example("/rollback", {"revision": 0}, before=PUT_SERVICE),
    ("POST", "/import"): Example(
        "/import",
        {"services": {"audited-3": rate(0.5)}, "policies": {"audited-3": {"servicePattern": "y", **rate(0.5)}}},
        before=PUT_SERVICE,
        query={"mode": "replace"},
    ),
}
"""One for every write route, by method and path below ``/api/v1/config``."""

NO_CONFIGURATION = {
    ("POST", "/api/v1/admin/cache/refresh"): "reads the store again and rewrites the copies; no record changes",
    ("POST", "/api/v1/admin/store/accept"): "says which store is followed; its log of changes comes with it",
    ("DELETE", "/api/v1/admin/traces/cleanup"): "removes what is elsewhere; its entry in the log is tested with it",
}
"""Write routes that change no configuration, and why."""

PREFIX = "/api/v1/config"

DEFAULT = Key("policy", "default")

WRITE_ROUTES = [route for route in ROUTES if route.method != "GET" and (route.method, route.path) not in NO_CONFIGURATION]

every_write_route = pytest.mark.parametrize("route", WRITE_ROUTES, ids=lambda route: f"{route.method} {route.path}")


def example_of(route: Route[Any, Any]) -> Example:
    example = EXAMPLES.get((route.method, route.path.removeprefix(PREFIX)))
    assert example is not None, "a write route without an example here could leave a hole in the audit"
    return example


def send(replica: Replica, method: str, path: str, body: Any, **arguments: Any) -> httpx.Response:
    content = None if body is None else msgspec.json.encode(body)
    return replica.api(method, path, content=content, **arguments)


def send_example(replica: Replica, route: Route[Any, Any], query: Mapping[str, str] = {}, **arguments: Any) -> httpx.Response:
    example = example_of(route)
    return send(replica, route.method, example.path, example.body, params={**example.query, **query}, **arguments)


def prepare(replica: Replica, example: Example) -> None:
    """Let there be something that the example changes."""
    send(replica, *POST_BOOST)
    send(replica, "DELETE", "/services/audited", None)
    for name in ("audited", "audited-2"):
        send(replica, "DELETE", f"/boosts/{name}", None)
    send(replica, "DELETE", "/policies/audited", None)
    if example.before is not None:
        assert send(replica, *example.before).status_code == 200


def log_of(replica: Replica, after: int = -1) -> list[dict[str, Any]]:
    """All changes after a revision, the oldest first."""
    rows: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = replica.api("GET", "/changes", params={"limit": 1000, "cursor": cursor}).json()
        rows += page["changes"]
        cursor = page["nextCursor"] if rows[-1]["revision"] > after else None
    return [row for row in reversed(rows) if row["revision"] > after]


def newest(replica: Replica) -> int:
    revision: int = replica.api("GET", "/changes", params={"limit": 1}).json()["changes"][0]["revision"]
    return revision


def json_of(stored: Stored | None) -> Any:
    return None if stored is None else msgspec.json.decode(stored.body)


@every_write_route
async def test_whatever_a_write_route_changes_is_in_the_log_with_who_why_before_and_after(
    replica: Replica, route: Route[Any, Any]
) -> None:
    """The tables tell what was changed; the log must tell the same."""
    example = example_of(route)
    assert route.role == "editor", "who may change the configuration is an editor"
    prepare(replica, example)
    before, revision = await records_of(replica), newest(replica)
    reason, headers = f"audit of {route.path}", {"Authorization": f"Bearer {ACTOR_S_TOKEN}"}
    response = send_example(replica, route, {"reason": reason}, headers=headers)
    assert response.status_code == 200, response.text
    after = await records_of(replica)
    changed = {key for key in before | after if before.get(key) != after.get(key)}
    assert changed
    rows = log_of(replica, revision)
    told = {Key(row["kind"], row["name"]): (row["before"], row["after"]) for row in rows}
    assert told == {key: (json_of(before.get(key)), json_of(after.get(key))) for key in changed}
    assert len(rows) == len(changed)
    assert [row["position"] for row in rows] == list(range(len(rows)))
    assert {(row["revision"], row["actor"], row["reason"]) for row in rows} == {(revision + 1, ACTOR, reason)}


@every_write_route
async def test_what_was_refused_or_only_tried_leaves_no_trace(replica: Replica, route: Route[Any, Any]) -> None:
    example = example_of(route)
    prepare(replica, example)
    before, revision = await records_of(replica), newest(replica)
    tried = send_example(replica, route, {"dryRun": "true"})
    assert tried.status_code == 200, tried.text
    assert tried.json()["recordCount"] > 0
    refusals = [
        (401, send_example(replica, route, headers={"Authorization": "Bearer no"})),
        (400, send_example(replica, route, {"dry-run": "true"})),
        (400, send_example(replica, route, {"reason": "\0"})),
    ]
    if example.body is not None:
        refusals.append((400, replica.api(route.method, example.path, content=b'{"samplingStrategy": ')))
        refusals.append((422, send(replica, route.method, example.path, {**example.body, "unknown": 1})))
    for status, response in refusals:
        assert response.status_code == status, response.text
    assert newest(replica) == revision
    assert await records_of(replica) == before


def test_every_acknowledged_write_of_two_writers_is_in_the_log_exactly_once_and_no_other(replica: Replica) -> None:
    """They write the same few names; some writes bring an entity tag that may be stale by then, and are refused."""
    start = newest(replica)
    done: list[tuple[int, str, str, Any]] = []
    refused: list[int] = []

    def write(writer: int) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        tags: dict[str, str] = {}
        with httpx.Client(base_url=f"{replica.sidecar_url}{PREFIX}/services/", headers=headers, timeout=15) as client:
            for number in range(60):
                name, reason = f"contended-{number % 4}", f"{writer}.{number}"
                guard = {"If-Match": tags[name]} if number % 3 == 0 and name in tags else {}
                body: Any = rate((writer * 60 + number) / 1000)
                if number % 7 == 6:
                    response = client.delete(name, params={"reason": reason}, headers=guard)
                    body = None
                else:
                    response = client.put(name, json=body, params={"reason": reason}, headers=guard)
                if response.status_code == 200:
                    tags[name] = response.headers["ETag"]
                    done.append((response.json()["revision"], name, reason, body))
                else:
                    refused.append(response.status_code)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(refused) <= {404, 412}
    rows = log_of(replica, start)
    assert [row["revision"] for row in rows] == list(range(start + 1, start + 1 + len(rows))), "no gaps"
    assert [(row["revision"], row["name"], row["reason"], row["after"]) for row in rows] == sorted(done)


async def test_the_log_replayed_from_nothing_is_what_is_there(replica: Replica) -> None:
    """Each change begins where the last one of its record ended, and the end is the tables, their checksum, and what the
    API shows."""
    for route in WRITE_ROUTES:
        prepare(replica, example_of(route))
        assert send_example(replica, route).status_code == 200
    for number in range(3):
        replica.put_rate(f"replayed-{number}", number / 10)
    state: dict[Key, Any] = {}
    last: dict[Key, dict[str, Any]] = {}
    for row in log_of(replica):
        key = Key(row["kind"], row["name"])
        assert state.get(key) == row["before"]
        state[key], last[key] = row["after"], row
    state = {key: record for key, record in state.items() if record is not None}
    records = await records_of(replica)
    assert {key: json_of(stored) for key, stored in records.items()} == state
    replayed = {
        key: Stored(last[key]["revision"], last[key]["commitId"], msgspec.json.encode(record)) for key, record in state.items()
    }
    async with store_of(replica) as store:
        assert checksum_of(Change(key, stored) for key, stored in replayed.items()) == (await store.head()).checksum
    assert shown(replica) == {key: view_of(key, stored) for key, stored in replayed.items()}


def shown(replica: Replica) -> dict[Key, Any]:
    """Every record as the API lists it."""
    found: dict[Key, Any] = {DEFAULT: replica.api("GET", "/default").json()}
    lists: list[tuple[str, Kind, str]] = [
        ("services", "service", "service"),
        ("policies", "policy", "name"),
        ("boosts", "boost", "service"),
    ]
    for member, kind, name in lists:
        page = replica.api("GET", f"/{member}", params={"limit": 1000}).json()
        assert page["nextCursor"] is None
        found |= {Key(kind, view[name]): view for view in page[member]}
    return found


def view_of(key: Key, stored: Stored) -> Any:
    """How the API shows a record, where there is no strategies file and every boost goes on."""
    catalog = Catalog()
    view: Any
    if key == DEFAULT:
        view = default_view(catalog, stored)
    elif key.kind == "policy":
        view = policy_view(key.name, stored)
    elif key.kind == "boost":
        view = boost_view(catalog, key.name, stored)
    else:
        view = service_view(catalog, key.name, stored)
    return msgspec.json.decode(msgspec.json.encode(view))

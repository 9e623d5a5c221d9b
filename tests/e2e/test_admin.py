"""Refresh and validate, on a running replica of each store: what is planted behind its back is found, and a refresh heals."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import redis

from sampling.records import Change, Key, Stored
from storage.checksum import checksum_of
from storage.hot_copy import KEY, HotCopy
from storage.interface import Copy, Point
from tests.contract.databases import Database, PostgresDatabase, SqliteDatabase
from tests.e2e.replica import TOKEN, Replica
from tests.e2e.stores import STORES, replica_on
from tests.services.valkey import ValkeyServer
from tests.waiting import eventually


@pytest.fixture(scope="module", params=STORES)
def replica(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, valkey: ValkeyServer
) -> Iterator[Replica]:
    valkey.flush()
    folder = tmp_path_factory.mktemp("admin")
    with replica_on(request.param, folder, request, TRACING_CONFIG_REDIS_URL=valkey.url()) as replica:
        for number in range(3):
            assert replica.put_rate(f"s{number}", 0.5).status_code == 200
        replica.api("DELETE", "/services/s2").raise_for_status()
        yield replica


@pytest.fixture
def settled(replica: Replica) -> Replica:
    """The replica, with both copies at its point."""
    refresh(replica)
    assert validate(replica) == (True, set(), set())
    return replica


def admin(replica: Replica, method: str, path: str, **arguments: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"{replica.sidecar_url}/api/v1/admin{path}"
    # No TLS here, and to load the certificates of the machine would take 40 ms.
    return httpx.request(method, url, headers=headers, timeout=30, verify=False, **arguments)


def report(replica: Replica) -> dict[str, Any]:
    response = admin(replica, "GET", "/config/validate")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def validate(replica: Replica) -> tuple[bool, set[str], set[str]]:
    """Whether all is valid, the kinds of problems, the kinds of warnings."""
    found = report(replica)
    return (
        found["valid"],
        {problem["kind"] for problem in found["problems"]},
        {warning["kind"] for warning in found["warnings"]},
    )


def problems(replica: Replica) -> dict[str, set[str]]:
    """The names of the records of each problem, by its kind."""
    found = report(replica)
    assert found["valid"] is (found["problems"] == [])
    return {problem["kind"]: {record["name"] for record in problem.get("records", ())} for problem in found["problems"]}


def refresh(replica: Replica) -> dict[str, Any]:
    response = admin(replica, "POST", "/cache/refresh")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def database_of(replica: Replica) -> Database:
    url = replica.environment.get("TRACING_CONFIG_DATABASE_URL")
    return PostgresDatabase(url) if url else SqliteDatabase(replica.data_dir / "tracing-config.db")


@contextmanager
def planted(replica: Replica, plant: str, undo: str) -> Iterator[None]:
    """A statement that somebody runs behind the program's back, and another that takes it back."""
    database = database_of(replica)
    asyncio.run(database.ask(plant))
    try:
        yield
    finally:
        asyncio.run(database.ask(undo))


OTHER_TEXT = '{"samplingStrategy":{"type":"probabilistic","param":0.75}}'
TEXT = '{"samplingStrategy":{"type":"probabilistic","param":0.5}}'
ROW = "UPDATE tracing_configurations SET {} WHERE service_name = 's0'"
LOGGED = "UPDATE changes SET after = '{}' WHERE key = 's0'"


def test_a_clean_system_is_valid_also_right_after_writes(replica: Replica) -> None:
    for number in range(10):
        written = replica.put_rate("written", number / 16)
        assert written.status_code == 200
        found = report(replica)
        assert found["problems"] == []
        assert found["valid"] is True
        assert found["revision"] == written.json()["revision"]
        assert {warning["kind"] for warning in found["warnings"]} <= {"copy-behind", "copy-missing"}


def test_the_checks_go_on_while_others_write(replica: Replica) -> None:
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [replica.put_rate("busy", number / 64).status_code for number in range(12)])
        while not writing.done():
            assert validate(replica)[:2] == (True, set())
        assert set(writing.result()) == {200}


def test_an_edited_text_is_found_and_a_refresh_serves_it(settled: Replica) -> None:
    with planted(settled, ROW.format(f"record = '{OTHER_TEXT}'"), ROW.format(f"record = '{TEXT}'")):
        found = problems(settled)
        assert found == {"edited-record": {"s0"}, "served-differs": {"s0"}, "copy-differs": {"s0"}}
        assert settled.rate("s0") == 0.5
        answer = refresh(settled)
        assert settled.rate("s0") == 0.75
        assert answer["copies"] == {"snapshot": "written", "hot copy": "written"}
        assert problems(settled) == {"edited-record": {"s0"}}
    refresh(settled)
    assert settled.rate("s0") == 0.5
    assert validate(settled)[0]


def test_a_text_that_cannot_be_read_is_found(settled: Replica) -> None:
    with planted(settled, ROW.format("""record = '{"samplingStrategy":7}'"""), ROW.format(f"record = '{TEXT}'")):
        found = problems(settled)
        assert found["unreadable-record"] == {"s0"}
        refresh(settled)
        assert problems(settled) == {"unreadable-record": {"s0"}, "edited-record": {"s0"}}
        assert settled.rate("s0") == 0.001
    refresh(settled)
    assert settled.rate("s0") == 0.5


def test_a_deleted_row_is_found_and_never_loaded(settled: Replica) -> None:
    hide = ROW.format("service_name = 'hidden'")
    show = "UPDATE tracing_configurations SET service_name = 's0' WHERE service_name = 'hidden'"
    with planted(settled, hide, show):
        found = problems(settled)
        assert found["missing-record"] == {"s0"}
        assert found["unknown-record"] == {"hidden"}
        assert found["served-differs"] == {"s0", "hidden"}
        assert found["checksum"] == set()
        refused = admin(settled, "POST", "/cache/refresh")
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:tracing-config:problem:content-mismatch")
        assert settled.rate("s0") == 0.5
    assert validate(settled)[:2] == (True, set())


@pytest.mark.parametrize(
    ("plant", "undo", "kinds"),
    [
        pytest.param(
            "revision = revision + 1000", "revision = revision - 1000", {"edited-revision", "checksum"}, id="revision"
        ),
        pytest.param("commit_id = 'f' || commit_id", "commit_id = substr(commit_id, 2)", {"edited-revision"}, id="commit"),
    ],
)
def test_an_edited_revision_or_commit_is_found(settled: Replica, plant: str, undo: str, kinds: set[str]) -> None:
    with planted(settled, ROW.format(plant), ROW.format(undo)):
        found = problems(settled)
        assert found.keys() - {"served-differs", "copy-differs"} == kinds
        assert found["edited-revision"] == {"s0"}
    assert validate(settled)[:2] == (True, set())


def test_an_edited_log_is_found(settled: Replica) -> None:
    with planted(settled, LOGGED.format(OTHER_TEXT), LOGGED.format(TEXT)):
        assert problems(settled) == {"edited-record": {"s0"}}
    with planted(settled, "UPDATE changes SET key = 'x' WHERE key = 's0'", "UPDATE changes SET key = 's0' WHERE key = 'x'"):
        assert problems(settled) == {"unknown-record": {"s0"}, "missing-record": {"x"}, "log-checksum": set()}
    assert validate(settled)[:2] == (True, set())


def test_changes_that_somebody_took_out_of_the_log_are_found(settled: Replica) -> None:
    with planted(
        settled,
        "UPDATE changes SET position = position + 7 WHERE revision = 1",
        "UPDATE changes SET position = position - 7 WHERE revision = 1",
    ):
        assert problems(settled) == {"incomplete-log": set()}
    assert validate(settled)[:2] == (True, set())


def test_an_edit_of_an_older_row_of_the_log_is_told(settled: Replica) -> None:
    first = settled.put_rate("older", 0.5).json()["revision"]
    settled.put_rate("older", 0.25)
    row = f"UPDATE changes SET after = '{{}}' WHERE revision = {first}"
    with planted(settled, row.format(OTHER_TEXT), row.format(TEXT)):
        [warning] = (each for each in report(settled)["warnings"] if each["kind"] == "unlogged-change")
        assert warning["records"] == [{"kind": "service", "name": "older", "message": f"before revision {first + 1}"}]
    refresh(settled)
    assert validate(settled) == (True, set(), set())


def test_an_edited_checksum_is_found(settled: Replica) -> None:
    head = "(SELECT revision FROM store)"
    plant = f"UPDATE revisions SET actor = checksum, checksum = '00000000000000aa' WHERE revision = {head}"
    undo = f"UPDATE revisions SET checksum = actor, actor = 'admin' WHERE revision = {head}"
    with planted(settled, plant, undo):
        assert problems(settled) == {"checksum": set(), "log-checksum": set()}
    assert validate(settled)[:2] == (True, set())


def test_a_store_that_cannot_be_followed_is_a_problem_and_no_refresh(settled: Replica) -> None:
    before = settled.health()["components"]["catalog"]["details"]["point"]
    with planted(settled, "ALTER TABLE store RENAME TO gone", "ALTER TABLE gone RENAME TO store"):
        asyncio.run(eventually(lambda: settled.health()["status"] == "DOWN"))
        assert problems(settled).keys() & {"store-not-followed", "store-unavailable"}
        assert admin(settled, "POST", "/cache/refresh").status_code == 503
        assert settled.rate("s0") == 0.5
    asyncio.run(eventually(lambda: settled.health()["status"] == "UP"))
    assert settled.health()["components"]["catalog"]["details"]["point"] == before
    assert validate(settled)[:2] == (True, set())


def flip_in_redis(replica: Replica) -> None:
    with redis.Redis.from_url(replica.environment["TRACING_CONFIG_REDIS_URL"]) as client:
        [byte] = client.getrange(KEY, 300, 300)
        client.setrange(KEY, 300, bytes([byte ^ 1]))


def flip_in_snapshot(replica: Replica) -> None:
    [path] = replica.data_dir.glob("snapshot-*.bin")
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    flipped = path.with_name("flipped")  # Renamed, so that the replica's own look never finds it half written.
    flipped.write_bytes(data)
    flipped.replace(path)


@pytest.mark.parametrize(("flip", "name"), [(flip_in_redis, "hot copy"), (flip_in_snapshot, "snapshot")])
def test_a_flipped_byte_in_a_copy_is_found_and_healed_by_a_refresh(
    settled: Replica, flip: Callable[[Replica], None], name: str
) -> None:
    flip(settled)
    found = report(settled)
    assert [problem["kind"] for problem in found["problems"]] == ["copy-unreadable"]
    assert found["problems"][0]["message"].startswith(f"{name}: ")
    assert refresh(settled)["copies"] == {"snapshot": "written", "hot copy": "written"}
    assert validate(settled) == (True, set(), set())


async def write_hot_copy(replica: Replica, change: Callable[[Copy], Copy]) -> None:
    """Put another copy where the hot copy is."""
    url = replica.environment["TRACING_CONFIG_REDIS_URL"]
    place = HotCopy(url)
    try:
        copy = await place.read()
        assert copy is not None
        for _ in range(5):  # The replica's own look may come in between.
            with redis.Redis.from_url(url) as client:
                client.delete(KEY)
            if await place.write(change(copy)):
                return
        raise AssertionError("the replica always wrote first")
    finally:
        await place.close()


def test_other_content_at_the_same_point_is_found_in_a_copy(settled: Replica) -> None:
    def edit(copy: Copy) -> Copy:
        changes = [
            Change(change.key, Stored(change.record.revision, change.record.commit_id, OTHER_TEXT.encode()))
            if change.key == Key("service", "s0") and change.record is not None
            else change
            for change in copy.changes
        ]
        assert checksum_of(changes) == copy.checksum
        # Checked later than the replica's own: its look may just have found nothing, and writes where it is the later one.
        return msgspec.structs.replace(copy, changes=changes, checked_at=copy.checked_at + 60)

    asyncio.run(write_hot_copy(settled, edit))
    assert problems(settled) == {"copy-differs": {"s0"}}
    assert refresh(settled)["copies"]["hot copy"] == "written"
    assert validate(settled) == (True, set(), set())


def test_the_copy_of_another_store_is_found_and_stays(settled: Replica) -> None:
    def elsewhere(copy: Copy) -> Copy:
        return msgspec.structs.replace(copy, point=Point("f" * 32, copy.point.revision, copy.point.commit_id))

    asyncio.run(write_hot_copy(settled, elsewhere))
    assert problems(settled) == {"copy-of-another-store": set()}
    copies = refresh(settled)["copies"]
    assert copies["snapshot"] == "written"
    assert "f" * 32 in copies["hot copy"]
    with redis.Redis.from_url(settled.environment["TRACING_CONFIG_REDIS_URL"]) as client:
        client.delete(KEY)
    assert refresh(settled)["copies"]["hot copy"] == "written"


def test_policies_that_never_win_and_windows_that_are_over_are_warnings(settled: Replica) -> None:
    strategy = {"type": "probabilistic", "param": 0.25}
    for name, priority, ends in (("above", 2, None), ("below", 1, None), ("over", 3, "2020-01-01T00:00:00Z")):
        body = {"servicePattern": "x*", "priority": priority, "samplingStrategy": strategy, "endsAt": ends}
        assert settled.api("PUT", f"/policies/{name}", json=body).status_code == 200
    warnings = {warning["kind"]: warning for warning in report(settled)["warnings"]}
    assert [record["name"] for record in warnings["policy-never-wins"]["records"]] == ["below"]
    assert [record["name"] for record in warnings["expired-policy"]["records"]] == ["over"]
    for name in ("above", "below", "over"):
        settled.api("DELETE", f"/policies/{name}").raise_for_status()


def test_a_refresh_tells_where_it_is_and_two_at_once_both_do(replica: Replica) -> None:
    written = replica.put_rate("a", 0.25)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: refresh(replica), range(2)))
    for answer in answers:
        assert answer["revision"] == written.json()["revision"]
        assert answer["point"] == written.headers["ETag"].strip('"')
        assert answer["records"] == len(replica.api("GET", "/services").json()["services"]) + 1
        assert answer["milliseconds"] > 0
        assert answer["copies"] == {"snapshot": "written", "hot copy": "written"}
    assert replica.rate("a") == 0.25


def test_the_admin_endpoints_ask_for_a_token(replica: Replica) -> None:
    for method, path in (("POST", "/cache/refresh"), ("GET", "/config/validate"), ("POST", "/store/accept")):
        assert httpx.request(method, f"{replica.sidecar_url}/api/v1/admin{path}", timeout=5).status_code == 401


def test_while_the_store_is_the_followed_one_there_is_nothing_to_accept(replica: Replica) -> None:
    served = replica.health()["components"]["catalog"]["details"]["storeId"]
    for named in (served, "f" * 32, None):
        refused = admin(replica, "POST", "/store/accept", json={"storeId": named})
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:tracing-config:problem:nothing-to-accept")
    assert admin(replica, "POST", "/store/accept", json={}).status_code == 422


def test_a_snapshot_that_is_gone_is_a_warning(settled: Replica) -> None:
    [path] = settled.data_dir.glob("snapshot-*.bin")

    def warned() -> bool:
        # The look that follows the last change may still be to come, and would write it anew.
        path.unlink(missing_ok=True)
        return validate(settled) == (True, set(), {"copy-missing"})

    asyncio.run(eventually(warned))
    refresh(settled)
    assert path.exists()


@pytest.mark.parametrize("text", [OTHER_TEXT, "[1, 2]", '{"managedBy": 5}'])
@pytest.mark.parametrize("store", STORES)
def test_a_row_that_somebody_edited_is_mended_by_writing_it_again_and_the_log_tells_of_it(
    store: str, text: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with replica_on(store, tmp_path, request) as replica:
        for method in ("PUT", "DELETE"):
            replica.put_rate("s0", 0.5)
            asyncio.run(database_of(replica).ask(ROW.format(f"record = '{text}'")))
            refresh(replica)
            body = None if method == "DELETE" else {"samplingStrategy": {"type": "probabilistic", "param": 0.5}}
            assert replica.api(method, "/services/s0", json=body).status_code == 200
            found = report(replica)
            assert found["problems"] == []
            [told] = (each for each in found["warnings"] if each["kind"] == "unlogged-change")
            assert {record["name"] for record in told["records"]} == {"s0"}

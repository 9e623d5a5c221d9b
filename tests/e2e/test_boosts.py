"""Boosts: another answer for one service, for a while. They end by themselves."""

import asyncio
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.contract.writes import service
from tests.e2e.replica import Replica
from tests.e2e.seed import edit, seed
from tests.services.postgres import PostgresServer
from tests.waiting import eventually

ALL = {"type": "probabilistic", "param": 1}
HALF = {"type": "probabilistic", "param": 0.5}


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    folder = tmp_path_factory.mktemp("boosts")
    seed(folder, [service("owned", 0.25, managed_by="ci")])
    with Replica(folder) as replica:
        yield replica


def boost(replica: Replica, name: str, **body: Any) -> Any:
    """POST a boost, of half an hour when nothing else is said."""
    if not {"duration", "endsAt"} & body.keys():
        body["duration"] = "30m"
    return replica.api("POST", "/boosts", json={"service": name, "samplingStrategy": ALL, **body})


def after(**span: float) -> str:
    return (datetime.now(UTC) + timedelta(**span)).isoformat()


def names(replica: Replica, **filters: object) -> list[str]:
    return [boost["service"] for boost in replica.api("GET", "/boosts", params=filters).json()["boosts"]]


def test_a_boost_replaces_the_whole_answer_and_its_end_gives_it_back(replica: Replica) -> None:
    operations = {"operationStrategies": [{"operation": "GET /", "param": 0.25}]}
    replica.api("PUT", "/services/whole", json={"samplingStrategy": HALF, **operations})
    rule = {"servicePattern": "whole*", "operationStrategies": [{"operation": "x", "param": 0}]}
    replica.api("PUT", "/policies/everywhere", json=rule)
    before = replica.poll_http("whole")
    assert len(before["operationSampling"]["perOperationStrategies"]) == 2
    assert boost(replica, "whole").status_code == 200
    assert "operationSampling" not in replica.poll_http("whole")
    assert replica.rate("whole") == 1
    assert boost(replica, "whole", operationStrategies=[{"operation": "y", "param": 0}]).status_code == 200
    boosted = replica.poll_http("whole")["operationSampling"]["perOperationStrategies"]
    assert [each["operation"] for each in boosted] == ["y"]
    assert replica.api("DELETE", "/boosts/whole").status_code == 200
    assert replica.poll_http("whole") == before
    assert replica.api("DELETE", "/boosts/whole").status_code == 404


def test_a_boost_is_answered_shown_and_listed_alike(replica: Replica) -> None:
    response = boost(replica, "a/b", reason="incident 4711")
    assert response.status_code == 200
    answer = response.json()
    assert answer.keys() == {
        "service", "samplingStrategy", "operationStrategies", "endsAt", "active", "etag", "reason", "revision"
    }  # fmt: skip
    assert (answer["service"], answer["samplingStrategy"], answer["operationStrategies"]) == ("a/b", ALL, [])
    assert (answer["active"], answer["reason"]) == (True, "incident 4711")
    assert response.headers["ETag"].startswith(f'"{answer["revision"]}-')
    shown = replica.api("GET", "/boosts/a%2Fb")
    assert (shown.json(), shown.headers["ETag"]) == (answer, response.headers["ETag"])
    assert answer in replica.api("GET", "/boosts").json()["boosts"]
    assert replica.api("GET", "/boosts/nobody").status_code == 404


@pytest.mark.parametrize(
    ("duration", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("1h30m", timedelta(minutes=90)),
        ("1d1h1m1s", timedelta(days=1, hours=1, minutes=1, seconds=1)),
        ("30d", timedelta(days=30)),
        ("720h", timedelta(days=30)),
    ],
)
def test_a_duration_becomes_an_end_at_most_a_second_late(replica: Replica, duration: str, span: timedelta) -> None:
    earliest = datetime.now(UTC) + span
    ends = datetime.fromisoformat(boost(replica, "span", duration=duration).json()["endsAt"])
    assert earliest <= ends <= datetime.now(UTC) + span + timedelta(seconds=1)


def test_an_end_may_be_told_in_any_zone(replica: Replica) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    answer = boost(replica, "zone", endsAt=ends.astimezone(None).isoformat().replace("+00:00", "Z")).json()
    assert answer["endsAt"] == f"{ends:%Y-%m-%dT%H:%M:%SZ}"
    there = (ends - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S-01:00")
    assert boost(replica, "zone", endsAt=there).json()["endsAt"] == f"{ends:%Y-%m-%dT%H:%M:%SZ}"


BAD_DURATIONS = ["", "0s", "30", "m", "1.5h", "-5m", "30m1h", "1h 30m", "5w", "٣m", "1h\n", "31d", "720h1s", "9" * 40 + "s", 30]
LIMITED = {"samplingStrategy": {"type": "ratelimiting", "param": 7}}


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("duration", {"duration": None}),
        ("duration", {"duration": "30m", "endsAt": "2030-01-01T00:00:00Z"}),
        *(("duration", {"duration": text}) for text in BAD_DURATIONS),
        ("endsAt", {"endsAt": "2026-01-01T00:00:00Z"}),
        ("endsAt", {"endsAt": "0001-01-01T00:00:00+23:59"}),
        ("endsAt", {"endsAt": "9999-12-31T23:59:59-23:59"}),
        ("endsAt", {"endsAt": after(days=30, hours=1)}),
        ("endsAt", {"endsAt": "2030-01-01T00:00:00"}),
        ("endsAt", {"endsAt": "soon"}),
        ("service", {"service": ""}),
        ("service", {"service": "a\nb"}),
        ("service", {"service": "x" * 1025}),
        ("service", {"service": 5}),
        ("samplingStrategy", {"samplingStrategy": None}),
        ("samplingStrategy.param", {"samplingStrategy": {"type": "probabilistic", "param": 7}}),
        ("operationStrategies[0].param", {"operationStrategies": [{"operation": "a", "param": 7}]}),
        ("operationStrategies", {**LIMITED, "operationStrategies": [{"operation": "a", "param": 0}]}),
        ("reason", {"reason": "x" * 1025}),
        ("reason", {"reason": "nul \x00"}),
        ("priority", {"priority": 5}),
    ],
)
def test_a_bad_boost_is_refused_by_its_field_and_changes_nothing(replica: Replica, field: str, body: Any) -> None:
    before = replica.api("GET", "/boosts").json()["revision"]
    boosted = {
        "service": "bad",
        "samplingStrategy": ALL,
        **({} if {"duration", "endsAt"} & body.keys() else {"duration": "30m"}),
    }
    response = replica.api("POST", "/boosts", json=boosted | body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field
    assert replica.api("GET", "/boosts").json()["revision"] == before


def test_too_long_a_boost_is_told_of_policies(replica: Replica) -> None:
    for body in ({"duration": "31d"}, {"endsAt": after(days=31)}):
        assert "policy" in boost(replica, "long", **body).json()["detail"]


async def test_a_boost_ends_by_itself_and_stays_in_the_list(replica: Replica) -> None:
    replica.put_rate("short", 0.25)
    assert boost(replica, "short").json()["active"] is True
    boost(replica, "lasting", samplingStrategy={"type": "ratelimiting", "param": 5})
    assert replica.rate("short") == 1
    assert "short" in names(replica, active="true")
    # Only now is it given its end: a busy machine may need longer than that to look at it.
    ends = datetime.now(UTC) + timedelta(seconds=2)
    assert boost(replica, "short", endsAt=ends.isoformat()).status_code == 200
    await eventually(lambda: replica.rate("short") == 0.25)
    assert datetime.now(UTC) >= ends
    assert replica.api("GET", "/boosts/short").json()["active"] is False
    assert "short" in names(replica)
    assert names(replica, active="false") == ["short"]
    assert "short" not in names(replica, active="true")
    assert names(replica, name="astin") == names(replica, type="ratelimiting") == ["lasting"]
    assert names(replica, name="or", type="probabilistic", active="true") == []


def test_boosts_are_listed_page_by_page(replica: Replica) -> None:
    for number in range(5):
        boost(replica, f"page-{number}")
    cursor = ""
    for expected, more in ((["page-0", "page-1"], True), (["page-2", "page-3"], True), (["page-4"], False)):
        page = replica.api("GET", "/boosts", params={"limit": 2, "cursor": cursor, "name": "page-"}).json()
        assert [each["service"] for each in page["boosts"]] == expected
        cursor = page["nextCursor"]
        assert (cursor is not None) is more


def test_a_second_boost_replaces_the_first(replica: Replica) -> None:
    first = boost(replica, "twice", duration="1h", reason="one").json()
    second = boost(replica, "twice", duration="5m", samplingStrategy=HALF).json()
    assert second["endsAt"] < first["endsAt"]
    assert second["reason"] == ""
    assert replica.rate("twice") == 0.5
    assert names(replica, name="twice") == ["twice"]


def test_a_boost_takes_preconditions(replica: Replica) -> None:
    minutes = itertools.count(30)

    def post(**headers: str) -> Any:
        body = {"service": "guarded", "samplingStrategy": ALL, "duration": f"{next(minutes)}m"}
        sent = {name.replace("_", "-"): text for name, text in headers.items()}
        return replica.api("POST", "/boosts", json=body, headers=sent)

    assert post(If_Match="*").status_code == 412
    first = post(If_None_Match="*")
    assert first.status_code == 200
    refused = post(If_None_Match="*")
    assert (refused.status_code, refused.json()["current"]) == (412, first.headers["ETag"])
    second = post(If_Match=first.headers["ETag"])
    assert second.status_code == 200
    assert post(If_Match=first.headers["ETag"]).status_code == 412
    stale = replica.api("DELETE", "/boosts/guarded", headers={"If-Match": first.headers["ETag"]})
    assert (stale.status_code, stale.json()["current"]) == (412, second.headers["ETag"])
    assert replica.api("DELETE", "/boosts/guarded", headers={"If-Match": second.headers["ETag"]}).status_code == 200


def test_a_boost_that_was_read_can_be_edited_and_sent_back(replica: Replica) -> None:
    boost(replica, "edited", reason="why")
    read = replica.api("GET", "/boosts/edited").json()
    again = replica.api("POST", "/boosts", json=read)
    assert (again.status_code, again.json()) == (200, read)
    read["samplingStrategy"] = HALF
    assert replica.api("POST", "/boosts", json=read).json()["endsAt"] == read["endsAt"]
    assert replica.rate("edited") == 0.5


def test_a_service_that_an_owner_manages_can_be_boosted(replica: Replica) -> None:
    assert replica.put_rate("owned", 0.75).status_code == 409
    assert boost(replica, "owned").status_code == 200
    assert replica.rate("owned") == 1
    assert boost(replica, "owned", samplingStrategy=HALF).status_code == 200
    assert replica.api("DELETE", "/boosts/owned").status_code == 200
    assert replica.rate("owned") == 0.25
    assert replica.api("GET", "/services/owned").json()["managedBy"] == "ci"


def test_the_reason_of_a_boost_is_the_reason_in_the_log_unless_the_query_has_one(replica: Replica) -> None:
    boost(replica, "reasons", reason="in the body")
    assert replica.wait_for_event(lambda event: event.get("name") == "reasons")["reason"] == "in the body"
    body = {"service": "reasons", "samplingStrategy": HALF, "duration": "30m", "reason": "in the body"}
    answer = replica.api("POST", "/boosts", json=body, params={"reason": "in the query"}).json()
    assert answer["reason"] == "in the body"
    assert replica.wait_for_event(lambda event: event.get("name") == "reasons")["reason"] == "in the query"


def test_a_dry_run_boosts_nothing(replica: Replica) -> None:
    body = {"service": "dry", "samplingStrategy": ALL, "duration": "30m"}
    answer = replica.api("POST", "/boosts", json=body, params={"dryRun": "true"}).json()
    assert (answer["dryRun"], answer["recordCount"]) == (True, 1)
    assert answer["records"][0]["after"]["samplingStrategy"] == ALL
    assert replica.api("GET", "/boosts/dry").status_code == 404
    assert replica.rate("dry") == 0.001


def test_boosts_survive_a_restart_and_one_that_somebody_damaged_says_nothing(tmp_path: Path) -> None:
    with Replica(tmp_path) as replica:
        boost(replica, "kept")
        boost(replica, "damaged")
        assert replica.stop() == 0
        edit(tmp_path, "UPDATE sampling_policies SET record = ? WHERE name = 'boost:damaged'", '{"endsAt": "soon"}')
        for file in tmp_path.glob("snapshot-*"):
            file.unlink()
        replica.start()
        assert (replica.rate("kept"), replica.rate("damaged")) == (1, 0.001)
        damaged = replica.api("GET", "/boosts/damaged").json()
        assert (damaged["active"], damaged["samplingStrategy"], damaged["endsAt"]) == (False, None, None)
        assert "endsAt" in damaged["problem"]
        assert names(replica) == ["damaged", "kept"]
        assert names(replica, active="true") == ["kept"]
        assert "problem" not in boost(replica, "damaged").json()
        assert replica.rate("damaged") == 1


async def test_a_boost_ends_on_every_replica_also_while_the_database_is_away(
    tmp_path: Path, private_postgres: PostgresServer
) -> None:
    settings = {"TRACING_CONFIG_DATABASE_URL": private_postgres.url(await private_postgres.create_database())}
    with Replica(tmp_path / "one", **settings) as one, Replica(tmp_path / "two", **settings) as two:
        for seconds in (2.5, 5, 10, 20):
            ends = datetime.now(UTC) + timedelta(seconds=seconds)
            assert boost(one, "a", endsAt=ends.isoformat()).status_code == 200
            await eventually(lambda ends=ends: two.rate("a") == 1 or datetime.now(UTC) >= ends)  # type: ignore[misc]
            await asyncio.to_thread(private_postgres.kill)
            rates = (one.rate("a"), two.rate("a"))
            if datetime.now(UTC) < ends:
                break
            # The database is to be away when the boost ends: on a busy machine that takes a longer one.
            await asyncio.to_thread(private_postgres.start)
            await eventually(lambda: one.health()["status"] == two.health()["status"] == "UP")
        else:
            raise AssertionError("the boost always ended before the database was away")
        assert set(rates) == {1}
        await eventually(lambda: one.rate("a") == two.rate("a") == 0.001, seconds + 5)
        assert datetime.now(UTC) >= ends
        assert two.api("GET", "/boosts/a").json()["active"] is False
        assert boost(two, "a").status_code == 503

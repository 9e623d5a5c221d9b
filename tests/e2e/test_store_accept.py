"""Another store takes the place of the followed one: nobody follows it until it is accepted, then every replica does."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from sampling.records import Key, ServiceConfiguration, encode_record
from sampling.strategy import SamplingStrategy
from storage.hot_copy import HotCopy
from storage.interface import Copy, Store, Terms, Write
from storage.postgres import PostgresStore
from storage.sqlite import SqliteStore
from tests.contract.databases import PostgresDatabase
from tests.e2e.replica import Replica
from tests.e2e.test_admin import admin, refresh, validate
from tests.waiting import eventually


@pytest.fixture
def settings(postgres_url: str, valkey_url: str) -> dict[str, str]:
    return {"TRACING_CONFIG_DATABASE_URL": postgres_url, "TRACING_CONFIG_REDIS_URL": valkey_url}


@pytest.fixture
def pair(tmp_path: Path, settings: dict[str, str]) -> Iterator[tuple[Replica, Replica]]:
    with Replica(tmp_path / "one", **settings) as one, Replica(tmp_path / "two", **settings) as two:
        yield one, two


@pytest.fixture
async def hot_copy(valkey_url: str) -> AsyncIterator[HotCopy]:
    place = HotCopy(valkey_url)
    yield place
    await place.close()


async def empty(url: str) -> None:
    """Somebody drops everything."""
    database = PostgresDatabase(url)
    await database.ask("DROP SCHEMA public CASCADE")
    await database.ask("CREATE SCHEMA public")


async def fill(store: Store, rate: float) -> str:
    """Make another store where nothing is, with some commits; its id."""
    await store.open()
    try:
        body = encode_record(ServiceConfiguration(SamplingStrategy("probabilistic", rate)))
        for name in ("a", "other"):
            await store.commit([Write(Key("service", name), body)], Terms(actor="test"))
        return (await store.head()).point.store_id
    finally:
        await store.close()


def details(replica: Replica) -> dict[str, Any]:
    found: dict[str, Any] = replica.health()["components"]["catalog"]["details"]
    return found


def refused(replica: Replica) -> bool:
    """Whether writes are refused and answers stay."""
    return replica.put_rate("a", 0.25).status_code == 503 and replica.rate("a") == 0.5


def names_the_command(replica: Replica) -> bool:
    database: dict[str, str] = replica.health()["components"]["db"]["details"]
    return "tracing-config store accept" in database.get("problem", "")


async def read(place: HotCopy) -> Copy:
    copy = await place.read()
    assert copy is not None
    return copy


async def test_an_accepted_store_is_followed_by_every_replica_and_takes_over_the_copies(
    pair: tuple[Replica, Replica], tmp_path: Path, settings: dict[str, str], hot_copy: HotCopy
) -> None:
    one, two = pair
    assert one.put_rate("a", 0.5).status_code == 200
    await eventually(lambda: two.rate("a") == 0.5)
    for replica in pair:
        refresh(replica)
    assert validate(one) == validate(two) == (True, set(), set())
    ours, abandoned = details(one)["storeId"], details(one)["point"]

    url = settings["TRACING_CONFIG_DATABASE_URL"]
    await empty(url)
    other = await fill(PostgresStore(url), 0.75)
    for replica in pair:
        await eventually(lambda replica=replica: details(replica).get("otherStoreId") == other)  # type: ignore[misc]
        assert refused(replica)
        assert names_the_command(replica)
        assert details(replica)["storeId"] == ours
        assert replica.metrics()["tracing_config_foreign_store"] == 1
    assert validate(one)[1] == {"another-store"}
    wrong = admin(one, "POST", "/store/accept", json={"storeId": ours})
    assert (wrong.status_code, wrong.json()["storeId"], wrong.json()["servedStoreId"]) == (409, other, ours)
    assert admin(one, "POST", "/store/accept", json={"storeId": None}).status_code == 409
    assert refused(one)

    two.kill()
    accepted = admin(one, "POST", "/store/accept", json={"storeId": other})
    assert accepted.status_code == 200, accepted.text
    answer = accepted.json()
    assert (answer["storeId"], answer["revision"], answer["records"]) == (other, 2, 3)
    assert answer["point"] == details(one)["point"]
    assert one.rate("a") == one.rate("other") == 0.75
    told = one.wait_for_event(lambda event: "in place of the followed one" in event["message"])
    assert (told["level"], told["served"], told["head"]) == ("WARN", abandoned, answer["point"])
    [kept] = (tmp_path / "one").glob("lost-*.bin")
    assert kept.name.startswith("lost-1-")

    # It comes back with the old store's snapshot.
    two.start()
    await eventually(lambda: two.rate("other") == 0.75)
    for number, replica in enumerate(pair):
        assert replica.put_rate("a", number / 8).status_code == 200
    await eventually(lambda: validate(one) == validate(two) == (True, set(), set()))
    assert (await read(hot_copy)).point.store_id == other
    one.kill()
    with one.start():
        assert one.rate("a") == 1 / 8
        assert details(one)["storeId"] == other
    assert admin(two, "POST", "/store/accept", json={"storeId": other}).json()["type"].endswith("nothing-to-accept")


async def test_an_emptied_database_is_filled_when_that_is_accepted(
    pair: tuple[Replica, Replica], settings: dict[str, str], hot_copy: HotCopy
) -> None:
    one, two = pair
    assert one.put_rate("a", 0.5).status_code == 200
    await eventually(lambda: two.rate("a") == 0.5)
    ours = details(one)["storeId"]
    await empty(settings["TRACING_CONFIG_DATABASE_URL"])
    for replica in pair:
        await eventually(lambda replica=replica: names_the_command(replica))  # type: ignore[misc]
        assert refused(replica)
    wrong = admin(one, "POST", "/store/accept", json={"storeId": ours})
    assert (wrong.status_code, wrong.json()["storeId"], wrong.json()["servedStoreId"]) == (409, None, ours)
    accepted = admin(two, "POST", "/store/accept", json={"storeId": None})
    assert accepted.status_code == 200, accepted.text
    assert (accepted.json()["revision"], accepted.json()["records"]) == (0, 1)
    assert accepted.json()["storeId"] != ours
    for replica in pair:
        await eventually(lambda replica=replica: replica.rate("a") == 0.001)  # type: ignore[misc]
    assert one.put_rate("a", 0.125).status_code == 200
    await eventually(lambda: two.rate("a") == 0.125)
    await eventually(lambda: validate(one) == validate(two) == (True, set(), set()))
    assert (await read(hot_copy)).point.store_id == accepted.json()["storeId"]


async def test_an_sqlite_file_that_another_was_put_in_the_place_of_is_accepted_without_a_restart(tmp_path: Path) -> None:
    with Replica(tmp_path) as replica:
        assert replica.put_rate("a", 0.5).status_code == 200
        refresh(replica)
        remove_database(tmp_path)
        other = await fill(SqliteStore(tmp_path / "tracing-config.db"), 0.75)
        await eventually(lambda: replica.health()["status"] == "DOWN")
        assert refused(replica)
        wrong = admin(replica, "POST", "/store/accept", json={"storeId": None})
        assert (wrong.status_code, wrong.json()["storeId"]) == (409, other)
        assert refused(replica)
        assert admin(replica, "POST", "/store/accept", json={"storeId": other}).status_code == 200
        assert replica.rate("other") == 0.75
        assert replica.put_rate("a", 0.25).status_code == 200
        refresh(replica)

        remove_database(tmp_path)
        await eventually(lambda: replica.health()["status"] == "DOWN")
        assert admin(replica, "POST", "/store/accept", json={"storeId": None}).status_code == 200
        assert replica.rate("other") == 0.001
        assert replica.put_rate("a", 0.5).status_code == 200
    assert len(list(tmp_path.glob("lost-*.bin"))) == 2


def remove_database(folder: Path) -> None:
    for file in folder.glob("tracing-config.db*"):
        file.unlink()

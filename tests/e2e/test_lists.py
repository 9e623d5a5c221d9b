"""Lists: pages and filters, whatever changes meanwhile."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sampling.records import Key, SamplingPolicy, ServiceConfiguration, encode_record
from sampling.strategy import OperationStrategy, SamplingStrategy
from storage.interface import Write
from tests.contract.writes import boost
from tests.e2e.replica import TOKEN, Replica, strategies
from tests.e2e.seed import edit, seed

STRATEGIES = (SamplingStrategy("probabilistic", 0.5), SamplingStrategy("ratelimiting", 5), None)
OPERATIONS = (OperationStrategy("a", 0.5),)
ALL = {"type": "probabilistic", "param": 1}
FILE = {"covered": 0.25, "in-file": 0.125, "z-in-file": 0.5}


def records() -> Iterator[Write]:
    """Services and policies of every type, owner and state."""
    kinds = itertools.product(STRATEGIES, (None, "ci", "apply"), (True, False))
    for number, (strategy, owner, enabled) in enumerate(kinds):
        operations = OPERATIONS if strategy is None else None
        service = ServiceConfiguration(strategy, operations, enabled=enabled, managed_by=owner)
        yield Write(Key("service", f"Service-{number:02}"), encode_record(service))
        policy = SamplingPolicy("x*", number, strategy, operations, enabled=enabled, managed_by=owner)
        yield Write(Key("policy", f"policy-{number:02}"), encode_record(policy))
    yield Write(Key("service", "covered"), encode_record(ServiceConfiguration()))
    for number in range(600):
        yield boost(f"boost-{number * 7919 % 600:03}")


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    folder = tmp_path_factory.mktemp("lists")
    file = folder / "strategies.json"
    file.write_text(strategies(0.75, **FILE))
    seed(folder, list(records()))
    with Replica(folder, TRACING_CONFIG_STRATEGIES_FILE=str(file)) as replica:
        yield replica


class Lister:
    """Asks for lists, over one connection."""

    def __init__(self, replica: Replica) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self.client = httpx.Client(base_url=f"{replica.sidecar_url}/api/v1/config/", headers=headers, timeout=15)

    def page(self, noun: str, **query: Any) -> dict[str, Any]:
        page: dict[str, Any] = self.client.get(noun, params=query).raise_for_status().json()
        return page

    def pages(self, noun: str, **query: Any) -> Iterator[list[dict[str, Any]]]:
        cursor: str | None = ""
        while cursor is not None:
            page = self.page(noun, cursor=cursor, **query)
            yield page[noun]
            assert page["nextCursor"] is None or page["nextCursor"] > cursor, "the list would never end"
            cursor = page["nextCursor"]

    def all(self, noun: str, **query: Any) -> list[dict[str, Any]]:
        return [each for page in self.pages(noun, **query) for each in page]


@pytest.fixture(scope="module")
def lister(replica: Replica) -> Iterator[Lister]:
    lister = Lister(replica)
    with lister.client:
        yield lister


def type_of(view: dict[str, Any]) -> str:
    return view["samplingStrategy"]["type"] if view["samplingStrategy"] else "operations"


FITS: dict[str, Callable[[dict[str, Any], str], bool]] = {
    "name": lambda view, text: text in str(view.get("service", view.get("name"))),
    "type": lambda view, text: type_of(view) == text,
    "owner": lambda view, text: (view["managedBy"] or "") == text,
    "enabled": lambda view, text: view["enabled"] is (text == "true"),
    "source": lambda view, text: view["source"] == text,
}
VALUES = {
    "name": ("0", "in-file", "SERVICE"),
    "type": ("probabilistic", "ratelimiting", "operations"),
    "owner": ("", "ci", "c"),
    "enabled": ("true", "false"),
    "source": ("record", "file"),
}


@pytest.mark.parametrize("noun", ["services", "policies"])
def test_a_list_has_what_fits_every_filter_and_nothing_else(lister: Lister, noun: str) -> None:
    everything = lister.all(noun)
    assert len(everything) == (21 if noun == "services" else 18)
    filters = [name for name in FITS if noun == "services" or name != "source"]
    some_differ = 0
    for values in itertools.product(*((None, *VALUES[name]) for name in filters)):
        query = {name: value for name, value in zip(filters, values, strict=True) if value is not None}
        expected = [view for view in everything if all(FITS[name](view, value) for name, value in query.items())]
        assert lister.page(noun, limit=1000, **query)[noun] == expected, query
        some_differ += 0 < len(expected) < len(everything)
    assert some_differ > 50


def test_entries_of_the_file_are_enabled_and_nobody_s(lister: Lister) -> None:
    assert [view["service"] for view in lister.all("services", source="file")] == ["in-file", "z-in-file"]
    assert [view["service"] for view in lister.all("services", source="record", name="cov")] == ["covered"]
    fits = lister.all("services", source="file", enabled="true", owner="", type="probabilistic")
    assert {view["service"]: view["samplingStrategy"]["param"] for view in fits} == {"in-file": 0.125, "z-in-file": 0.5}
    assert lister.all("services", source="file", enabled="false") == lister.all("services", source="file", owner="ci") == []


@pytest.mark.parametrize("noun", ["services", "policies"])
@pytest.mark.parametrize("limit", [1, 2, 7])
def test_pages_hold_together_what_one_page_would(lister: Lister, noun: str, limit: int) -> None:
    for query in ({}, {"owner": ""}, {"enabled": "true", "name": "1"}):
        pages = list(lister.pages(noun, limit=limit, **query))
        assert all(len(page) == limit for page in pages[:-1])
        assert [view for page in pages for view in page] == lister.page(noun, limit=1000, **query)[noun]


def test_a_long_list_that_is_stored_in_any_order_comes_in_order(lister: Lister) -> None:
    names = [f"boost-{number:03}" for number in range(600)]
    nines = [name for name in names if "9" in name]
    assert [view["service"] for view in lister.all("boosts", limit=70)] == names
    assert [view["service"] for view in lister.all("boosts", limit=3, active="true", name="9")] == nines


def test_records_that_come_and_go_do_not_shift_a_page(replica: Replica, lister: Lister) -> None:
    names = [f"moving-{number:02}" for number in range(12)]
    stay = set(names[1::2])
    for name in names:
        replica.put_rate(name, 0.5)
    seen: list[str] = []
    for round_number, page in enumerate(lister.pages("services", limit=3, name="moving")):
        seen += [view["service"] for view in page]
        # One that was shown goes, one that was not goes, and one comes before all that were shown.
        for name in (names[2 * round_number], names[-2 - 2 * round_number]):
            replica.api("DELETE", f"/services/{name}")
        replica.put_rate(f"a-moving-{round_number}", 0.5)
    assert seen == sorted(set(seen))
    assert stay <= set(seen)
    assert not [name for name in seen if name.startswith("a-")]


def test_a_list_tells_the_revision_at_which_it_was_so(replica: Replica, lister: Lister) -> None:
    for noun in ("services", "policies", "boosts"):
        revision = replica.put_rate("revised", 0.5, params={"reason": noun}).json()["revision"]
        assert lister.page(noun)["revision"] >= revision


@pytest.mark.parametrize(
    ("noun", "query"),
    [
        ("services", {"type": "const"}),
        ("services", {"type": ""}),
        ("services", {"enabled": "maybe"}),
        ("services", {"enabled": "null"}),
        ("services", {"source": "policy"}),
        ("services", {"name": "x" * 1025}),
        ("services", {"owner": "x" * 1025}),
        ("services", {"active": "true"}),
        ("services", {"limit": "0"}),
        ("services", {"limit": "1001"}),
        ("services", {"cursor": "x" * 1101}),
        ("policies", {"source": "file"}),
        ("policies", {"limit": "many"}),
        ("boosts", {"type": "operations"}),
        ("boosts", {"owner": ""}),
    ],
)
def test_a_filter_that_there_is_not_is_refused_not_ignored(lister: Lister, noun: str, query: dict[str, str]) -> None:
    response = lister.client.get(noun, params=query)
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == next(iter(query))


def test_a_filter_given_twice_is_refused(lister: Lister) -> None:
    assert lister.client.get("services?owner=a&owner=b").status_code == 400


def test_a_page_of_large_records_is_cut_and_nothing_is_lost(lister: Lister) -> None:
    names = [f"large-{number}" for number in range(6)]
    for name in names:
        lister.client.put(f"services/{name}", json={"description": "x" * 1_000_000}).raise_for_status()
    pages = list(lister.pages("services", limit=1000, name="large-"))
    assert [view["service"] for page in pages for view in page] == names
    assert [len(page) for page in pages] == [4, 2]


def test_a_record_that_somebody_damaged_is_listed_with_its_problem_and_can_be_mended(tmp_path: Path) -> None:
    policy = SamplingPolicy("a*", 0, STRATEGIES[0])
    seed(
        tmp_path,
        [
            Write(Key("service", "bad"), encode_record(ServiceConfiguration(STRATEGIES[0]))),
            Write(Key("service", "good"), encode_record(ServiceConfiguration(STRATEGIES[0]))),
            Write(Key("policy", "bad"), encode_record(policy)),
        ],
    )
    damaged = '{"servicePattern": "a*", "samplingStrategy": {"type": "probabilistic", "param": 7}}'
    edit(tmp_path, "UPDATE tracing_configurations SET record = ? WHERE service_name = 'bad'", damaged)
    edit(tmp_path, "UPDATE sampling_policies SET record = ? WHERE name = 'bad'", damaged)
    with Replica(tmp_path) as replica:
        services = replica.api("GET", "/services").json()["services"]
        assert [(view["service"], "problem" in view) for view in services] == [("bad", True), ("good", False)]
        (listed,) = replica.api("GET", "/policies").json()["policies"]
        assert "samplingStrategy.param" in listed["problem"]
        assert listed["samplingStrategy"] is None
        shown = replica.api("GET", "/services/bad").json()
        assert shown == services[0]
        assert replica.rate("bad") == 0.001
        mended = replica.api("PUT", "/services/bad", json={**shown, "samplingStrategy": ALL, "enabled": True})
        assert (mended.status_code, "problem" in mended.json()) == (200, False)
        assert replica.rate("bad") == 1

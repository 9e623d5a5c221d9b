"""Old traces, removed from real OpenSearch and Elasticsearch nodes by a real replica; and what a node says to special names."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from server.integrations.elasticsearch import Elasticsearch, NotRemoved
from server.integrations.trace_indices import TraceIndices
from tests.e2e.replica import TOKEN, Replica
from tests.services.elasticsearch import ElasticsearchServer
from tests.services.elasticsearch_stand_in import ElasticsearchStandIn, Kept
from tests.services.opensearch import OpenSearchServer
from tests.waiting import eventually

TODAY = datetime.now(UTC).date()


def day(days: int) -> str:
    """So many days ago."""
    return str(TODAY - timedelta(days=days))


HIDDEN, CLOSED = f"zipkin-span-{day(33)}", f"jaeger-service-{day(40)}"

OLD = sorted(
    [
        *(f"{kind}-{day(31)}" for kind in ("jaeger-span", "jaeger-service", "jaeger-dependencies", "jaeger-sampling")),
        *(f"{kind}-{day(31)}" for kind in ("zipkin-span", "zipkin-dependency", "zipkin-autocomplete")),
        *(f"jaeger-span-{day(32)}-{hour}" for hour in ("00", "23")),
        f"jaeger-span-{day(400)}",
        HIDDEN,
        CLOSED,
    ]
)

STAYS = sorted(
    [
        *(f"jaeger-span-{day(days)}" for days in (28, 1, 0, -3)),
        f"zipkin-span-{day(28)}",
        f"jaeger-span-{day(50)}",
        "jaeger-span-000001",
        "jaeger-span-000002",
        "jaeger-span-archive",
        "jaeger-span-2020-02-30",
        "jaeger-span-2020.01.01",
        f"prod-jaeger-span-{day(99)}",
        f"logs-{day(99)}",
        f"my-jaeger-span-{day(99)}",
        f"jaeger-spans-{day(99)}",
    ]
)

ALIASES: dict[str, dict[str, Any]] = {
    "jaeger-span-000002": {"jaeger-span-write": {"is_write_index": True}, "jaeger-span-read": {}},
    "jaeger-span-000001": {"jaeger-span-write": {"is_write_index": False}, "jaeger-span-read": {}},
    f"jaeger-span-{day(400)}": {"everything": {}},
    f"jaeger-span-{day(31)}": {"everything": {}},
    f"jaeger-span-{day(50)}": {"somebody-writes": {"is_write_index": True}, "everything": {}},
}


STREAM = "jaeger-span-stream"


@pytest.fixture(scope="module", params=[OpenSearchServer, ElasticsearchServer])
def node(request: pytest.FixtureRequest) -> Iterator[OpenSearchServer]:
    with request.param() as server:
        yield server


def streams(node: OpenSearchServer) -> list[str]:
    """The Elasticsearch of the tests is its core, which knows none."""
    if node.name == "elasticsearch":
        return []
    return [each["name"] for each in node.ask("GET", "/_data_stream")["data_streams"]]


@pytest.fixture
def filled(node: OpenSearchServer) -> OpenSearchServer:
    """What an earlier test left is kept: the node takes half a second for each index."""
    small = {"number_of_shards": 1, "number_of_replicas": 0}
    left = names(node)
    assert set(left) <= {*OLD, *STAYS}
    for name in sorted({*OLD, *STAYS} - {*left}):
        hidden = {"hidden": True} if name == HIDDEN else {}
        node.ask("PUT", f"/{name}", {"settings": {**small, **hidden}, "aliases": ALIASES.get(name, {})})
        if name == CLOSED:
            node.ask("POST", f"/{name}/_close")
    if node.name != "elasticsearch" and not streams(node):
        template = {"index_patterns": [STREAM], "data_stream": {}, "template": {"settings": small}}
        node.ask("PUT", "/_index_template/stream", {**template, "priority": 500})
        node.ask("PUT", f"/_data_stream/{STREAM}")
    return node


def names(node: OpenSearchServer) -> list[str]:
    """Every index, as the node itself lists them, but for the backing indices of data streams."""
    found = node.ask("GET", "/_cat/indices?format=json&expand_wildcards=all")
    return sorted(each["index"] for each in found if not each["index"].startswith(".ds-"))


def clean_up(replica: Replica, **parameters: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"{replica.sidecar_url}/api/v1/admin/traces/cleanup"
    return httpx.delete(url, params=parameters, headers=headers, timeout=90, **replica.trust)


async def test_exactly_the_old_daily_indices_of_traces_are_gone_afterwards(filled: OpenSearchServer, tmp_path: Path) -> None:
    assert names(filled) == sorted([*OLD, *STAYS])
    with Replica(tmp_path, TRACING_CONFIG_ELASTICSEARCH_URL=filled.url) as replica:
        would = clean_up(replica, days=30, dryRun="true")
        assert (would.status_code, sorted(would.json()["removed"])) == (200, OLD), would.text
        assert names(filled) == sorted([*OLD, *STAYS])
        done = clean_up(replica, days=30)
        assert (done.status_code, sorted(done.json()["removed"]), done.json()["failed"]) == (200, OLD, []), done.text
        assert names(filled) == STAYS
        reasons = {each["index"]: each["reason"] for each in done.json()["stayed"]}
        assert reasons["jaeger-span-000002"].startswith("a rollover index")
        assert reasons["jaeger-span-write"] == reasons["jaeger-span-read"] == "an alias"
        assert [name for name, reason in reasons.items() if reason.startswith("a data stream")] == streams(filled)
        assert reasons[f"jaeger-span-{day(50)}"] == "the alias somebody-writes writes to it"
        assert reasons[f"jaeger-span-{day(0)}"] in ("of today", "not older than 30 days")  # It may be midnight meanwhile.
        assert streams(filled) == ([] if filled.name == "elasticsearch" else [STREAM])
        again = clean_up(replica, days=30)
        assert (again.json()["removed"], again.json()["revision"]) == ([], None)
        [entry, *_] = replica.api("GET", "/changes").json()["changes"]
        assert entry["revision"] == done.json()["revision"]
        text = f"removes {len(OLD)} trace indices older than {done.json()['olderThan']}: jaeger-span-{day(400)}"
        assert entry["reason"].startswith(text)


async def test_health_tells_version_and_state(node: OpenSearchServer, tmp_path: Path) -> None:
    if node.name == "elasticsearch":
        return  # What it says at its root is not in its core.
    with Replica(tmp_path, TRACING_CONFIG_ELASTICSEARCH_URL=node.url) as replica:
        await eventually(lambda: replica.health()["components"]["elasticsearch"]["status"] == "UP")
        details = replica.health()["components"]["elasticsearch"]["details"]
    assert details["distribution"] == "opensearch"
    assert details["version"] == node.ask("GET", "/")["version"]["number"]
    assert details["clusterStatus"] == node.ask("GET", "/_cluster/health")["status"]


async def test_a_prefix_and_a_separator_say_which_ones(filled: OpenSearchServer, tmp_path: Path) -> None:
    settings = {"TRACING_CONFIG_TRACE_INDEX_PREFIXES": "prod", "TRACING_CONFIG_ELASTICSEARCH_URL": filled.url}
    with Replica(tmp_path, **settings) as replica:
        assert clean_up(replica, days=30).json()["removed"] == [f"prod-jaeger-span-{day(99)}"]
    assert names(filled) == sorted({*OLD, *STAYS} - {f"prod-jaeger-span-{day(99)}"})


async def test_an_index_that_is_read_only_is_in_no_other_ones_way(filled: OpenSearchServer, tmp_path: Path) -> None:
    blocked = f"jaeger-span-{day(400)}"  # The oldest: it comes first.
    filled.ask("PUT", f"/{blocked}/_settings", {"index.blocks.read_only": True})
    try:
        with Replica(tmp_path, TRACING_CONFIG_ELASTICSEARCH_URL=filled.url) as replica:
            done = clean_up(replica, days=30)
    finally:
        filled.ask("PUT", f"/{blocked}/_settings", {"index.blocks.read_only": False})
    assert (done.status_code, [each["index"] for each in done.json()["failed"]]) == (502, [blocked]), done.text
    assert "read-only" in done.json()["detail"]
    assert names(filled) == sorted([*STAYS, blocked])


class AnyName(TraceIndices):
    """Lets every name through, to see what the node itself refuses."""

    def day(self, name: str) -> Any:
        return TODAY


@pytest.fixture
async def unguarded(filled: OpenSearchServer) -> AsyncIterator[Elasticsearch]:
    client = Elasticsearch(filled.url, AnyName())
    yield client
    await client.close()


@pytest.mark.parametrize(
    "name", ["*", "jaeger-span-*", "_all", f"{OLD[0]},{OLD[1]}*", "jaeger-span-read", STREAM, "jaeger-*,-x"]
)
async def test_even_without_our_own_check_the_request_removes_nothing_by_a_wildcard_an_alias_or_a_stream(
    filled: OpenSearchServer, unguarded: Elasticsearch, name: str
) -> None:
    with suppress(NotRemoved):  # Or the node says that there is no index of this name.
        await unguarded.remove(name)
    assert names(filled) == sorted([*OLD, *STAYS])
    assert streams(filled) == ([] if filled.name == "elasticsearch" else [STREAM])


async def test_one_that_is_gone_already_counts_as_removed(filled: OpenSearchServer, unguarded: Elasticsearch) -> None:
    await unguarded.remove(OLD[0])
    await unguarded.remove(OLD[0])
    assert names(filled) == sorted([*OLD[1:], *STAYS])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/_resolve/index/jaeger-span-%2A?expand_wildcards=open,closed,hidden"),
        ("GET", "/_resolve/index/nothing-%2A?expand_wildcards=open,closed,hidden"),
        ("GET", "/_cat/health?format=json&h=epoch"),
        ("GET", "/_alias/everything"),
        ("GET", "/_alias/jaeger-span-write"),
        ("GET", "/_alias/absent"),
        ("DELETE", "/absent-2020-01-01?expand_wildcards=none&ignore_unavailable=false&allow_no_indices=false"),
        ("DELETE", "/jaeger-span-read?expand_wildcards=none&ignore_unavailable=false&allow_no_indices=false"),
        ("DELETE", f"/{quote(OLD[0])}?expand_wildcards=none&ignore_unavailable=false&allow_no_indices=false"),
    ],
)
async def test_the_stand_in_of_the_other_tests_answers_as_the_node_does(
    filled: OpenSearchServer, method: str, path: str
) -> None:
    stand_in = ElasticsearchStandIn([*OLD, *STAYS])
    for name, aliases in ALIASES.items():
        stand_in.indices[name] = Kept({alias: said.get("is_write_index") for alias, said in aliases.items()})
    stand_in.indices |= {CLOSED: Kept(state="closed"), HIDDEN: Kept(hidden=True)}
    stand_in.data_streams |= set(streams(filled))
    with stand_in:
        real, ours = [
            await asyncio.to_thread(httpx.request, method, url + path, timeout=30) for url in (filled.url, stand_in.url)
        ]
    assert (real.status_code, shape(real.json())) == (ours.status_code, shape(ours.json())), (real.text, ours.text)


def shape(answer: Any) -> Any:
    """Of an answer what we read."""
    if isinstance(answer, list):  # The clock, which goes on.
        return [{name: value.isdigit() for name, value in each.items()} for each in answer]
    if "error" in answer:
        error = answer["error"]
        return error["type"] if isinstance(error, dict) else "an error"
    if "indices" in answer:
        return {
            "indices": {
                each["name"]: (sorted(each.get("aliases", [])), sorted(set(each["attributes"]) & {"open", "closed", "hidden"}))
                for each in answer["indices"]
            },
            **{kind: [each["name"] for each in answer[kind]] for kind in ("aliases", "data_streams")},
        }
    return answer

"""The client of Elasticsearch and OpenSearch."""

from collections.abc import AsyncIterator, Iterator

import pytest

from server.integrations.elasticsearch import Elasticsearch, NotRemoved
from server.integrations.http_client import Unusable
from server.integrations.trace_indices import Index, TraceIndices
from tests.services.elasticsearch_stand_in import ElasticsearchStandIn, Kept, failure
from tests.services.http_stand_in import Reply, StandIn

SPAN = "jaeger-span-2026-01-01"
CLOSED, HIDDEN = Kept(state="closed"), Kept(hidden=True)


@pytest.fixture
def server() -> Iterator[ElasticsearchStandIn]:
    with ElasticsearchStandIn([SPAN, "jaeger-span-2026-01-02", "unrelated"]) as server:
        yield server


@pytest.fixture
async def client(server: ElasticsearchStandIn) -> AsyncIterator[Elasticsearch]:
    client = Elasticsearch(server.url, TraceIndices())
    yield client
    await client.close()


async def test_health_tells_product_version_and_the_clusters_state(server: ElasticsearchStandIn, client: Elasticsearch) -> None:
    assert await client.check() == {"version": "3.3.2", "distribution": "opensearch", "clusterStatus": "yellow"}
    server.version = {"number": "8.19.1"}
    assert await client.check() == {"version": "8.19.1", "distribution": "elasticsearch", "clusterStatus": "yellow"}


@pytest.mark.parametrize("number", ["7.8.1", "6.8.23", "1.0.0"])
async def test_an_elasticsearch_that_is_too_old_is_said_to_be(
    server: ElasticsearchStandIn, client: Elasticsearch, number: str
) -> None:
    server.version = {"number": number}
    with pytest.raises(Unusable, match=number) as error:
        await client.check()
    assert "7.9" in error.value.cure


@pytest.mark.parametrize("number", ["7.9.0", "7.17.29", "8.0.0-rc1", "10.0.0"])
async def test_newer_ones_are_taken(server: ElasticsearchStandIn, client: Elasticsearch, number: str) -> None:
    server.version = {"number": number}
    assert (await client.check())["version"] == number


@pytest.mark.parametrize("told", ["[]", "{}", '[{"epoch": "soon"}]', '[{"epoch": "-1"}]', '[{"epoch": "1"}, {"epoch": "2"}]'])
async def test_a_clock_that_tells_no_time_is_no_clock(told: str) -> None:
    with StandIn(lambda _: Reply(200, told.encode())) as server:
        client = Elasticsearch(server.url, TraceIndices())
        with pytest.raises(Unusable):
            await client.clock()
        await client.close()


async def test_what_is_listed_are_closed_and_hidden_indices_too(server: ElasticsearchStandIn, client: Elasticsearch) -> None:
    server.indices |= {
        "jaeger-span-closed": CLOSED,
        "jaeger-span-hidden": HIDDEN,
        "jaeger-span-000001": Kept({"jaeger-span-write": True}),
        "jaeger-span-backing": Kept(data_stream="jaeger-span-stream"),
    }
    server.data_streams.add("jaeger-span-stream")
    listing = await client.listing("jaeger-span-*")
    assert {index.name for index in listing.indices} == set(server.indices) - {"unrelated"}
    assert Index("jaeger-span-000001", ["jaeger-span-write"]) in listing.indices
    assert Index("jaeger-span-backing", [], "jaeger-span-stream") in listing.indices
    assert (listing.aliases, listing.data_streams) == (["jaeger-span-write"], ["jaeger-span-stream"])


@pytest.mark.parametrize(
    ("indices", "written"),
    [
        ({"a": True, "b": False}, "a"),
        ({"a": None, "b": True}, "b"),
        ({"a": None, "b": None}, None),
        ({"a": None}, "a"),
        ({"a": False}, None),
        ({}, None),
    ],
)
async def test_an_alias_writes_to_the_index_that_it_says_or_to_its_only_one(
    server: ElasticsearchStandIn, client: Elasticsearch, indices: dict[str, bool | None], written: str | None
) -> None:
    server.indices = {name: Kept({"alias": is_write_index}) for name, is_write_index in indices.items()}
    assert await client.write_index("alias") == written


async def test_exactly_one_index_is_removed_and_no_wildcard_could_be(
    server: ElasticsearchStandIn, client: Elasticsearch
) -> None:
    await client.remove(SPAN)
    assert set(server.indices) == {"jaeger-span-2026-01-02", "unrelated"}
    [removal] = server.removals
    path, _, query = removal.partition("?")
    assert path == f"/{SPAN}"
    assert "expand_wildcards=none" in query.split("&")


@pytest.mark.parametrize(
    "name",
    [
        "*",
        "_all",
        "jaeger-span-*",
        f"{SPAN},unrelated",
        f"{SPAN}*",
        "unrelated",
        "jaeger-span-2026-02-30",
        f"{SPAN}/_doc/1",
        "",
        "..",
    ],
)
async def test_a_name_that_is_no_daily_index_of_traces_never_leaves_the_process(
    server: ElasticsearchStandIn, client: Elasticsearch, name: str
) -> None:
    with pytest.raises(ValueError, match="no daily index"):
        await client.remove(name)
    assert not server.requests


async def test_an_index_that_is_gone_already_counts_as_removed(server: ElasticsearchStandIn, client: Elasticsearch) -> None:
    del server.indices[SPAN]
    await client.remove(SPAN)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (failure(400, "snapshot_in_progress_exception", "Cannot delete indices that are being snapshotted"), "snapshotted"),
        (failure(404, "resource_not_found_exception", "no such thing"), "no such thing"),
        (failure(400, "illegal_argument_exception", "a\x00b\x1b[2Jc"), r"a b \[2Jc"),
        (Reply(200, b'{"acknowledged": false}'), "may be removed yet"),
    ],
)
async def test_a_removal_that_is_refused_tells_why(
    server: ElasticsearchStandIn, client: Elasticsearch, reply: Reply, reason: str
) -> None:
    server.refused[SPAN] = reply
    with pytest.raises(NotRemoved, match=reason):
        await client.remove(SPAN)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"acknowledged": "yes"}', b"\xff", b"[" * 100_000, b'{"indices": null}', b'{"error": "text"}']
)
@pytest.mark.parametrize("status", [200, 404, 400, 403, 500, 302])
async def test_an_answer_that_makes_no_sense_is_no_success(
    server: ElasticsearchStandIn, client: Elasticsearch, status: int, body: bytes
) -> None:
    server.refused[SPAN] = Reply(status, body)
    with pytest.raises(Unusable):
        await client.remove(SPAN)


async def test_a_listing_that_makes_no_sense_is_no_empty_one(server: ElasticsearchStandIn, client: Elasticsearch) -> None:
    server.fault = "nonsense"
    for question in (client.check(), client.listing("jaeger-span-*"), client.write_index("alias"), client.remove(SPAN)):
        with pytest.raises(Unusable, match="Elasticsearch or OpenSearch"):
            await question

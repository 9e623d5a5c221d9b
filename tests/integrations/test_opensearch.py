"""The OpenSearch node that other tests lean on is a real one, and can what they need."""

import json

import pytest

from tests.services.opensearch import OpenSearchServer


def test_it_says_who_it_is(opensearch: OpenSearchServer) -> None:
    version = opensearch.ask("GET", "/")["version"]
    assert version["distribution"] == "opensearch"
    assert version["number"].startswith("2.19.")


def test_it_names_indices_aliases_and_data_streams(opensearch: OpenSearchServer) -> None:
    opensearch.ask("PUT", "/dated-2020-01-01")
    opensearch.ask("PUT", "/rolled-000001", {"aliases": {"rolled-write": {"is_write_index": True}}})
    opensearch.ask("PUT", "/_index_template/streams", {"index_patterns": ["stream-*"], "data_stream": {}})
    opensearch.ask("PUT", "/_data_stream/stream-one")
    found = opensearch.ask("GET", "/_resolve/index/*")
    assert [index["name"] for index in found["indices"]] == ["dated-2020-01-01", "rolled-000001"]
    assert [alias["name"] for alias in found["aliases"]] == ["rolled-write"]
    assert [stream["name"] for stream in found["data_streams"]] == ["stream-one"]


def test_it_finds_what_was_sent_in_bulk(opensearch: OpenSearchServer) -> None:
    lines = [line for number in range(3) for line in ({"index": {"_index": "numbers"}}, {"word": "one two", "number": number})]
    sent = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    assert opensearch.ask("POST", "/_bulk?refresh=true", sent)["errors"] is False
    query = {"query": {"bool": {"must": [{"match": {"word": "two"}}, {"range": {"number": {"gte": 2}}}]}}}
    assert [hit["_source"]["number"] for hit in opensearch.ask("POST", "/numbers/_search", query)["hits"]["hits"]] == [2]


def test_a_refusal_is_told(opensearch: OpenSearchServer) -> None:
    with pytest.raises(RuntimeError, match="404"):
        opensearch.ask("GET", "/absent/_search")


def test_what_it_holds_outlives_a_restart(opensearch: OpenSearchServer) -> None:
    opensearch.ask("PUT", "/kept")
    opensearch.restart()
    assert "kept" in opensearch.ask("GET", "/_resolve/index/kept")["indices"][0]["name"]

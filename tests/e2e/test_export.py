"""Exports: everything, in either format, of now and of then."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.replica import Replica, strategies

HALF = {"type": "probabilistic", "param": 0.5}


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    folder = tmp_path_factory.mktemp("export")
    file = folder / "strategies.json"
    file.write_text(strategies(mounted=0.25))
    with Replica(folder, TRACING_CONFIG_STRATEGIES_FILE=str(file)) as replica:
        replica.put_rate("checkout", 0.5)
        replica.put_rate("a%2Fb", 0.125)
        replica.api("PUT", "/policies/batch", json={"servicePattern": "batch-*", "samplingStrategy": HALF})
        replica.api("PUT", "/default", json={"samplingStrategy": {"type": "probabilistic", "param": 0.01}})
        replica.api("POST", "/boosts", json={"service": "checkout", "samplingStrategy": HALF | {"param": 1}, "duration": "1h"})
        yield replica


def export(replica: Replica, **parameters: Any) -> Any:
    response = replica.api("GET", "/export", params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


def test_an_export_has_every_record_and_says_where_it_comes_from(replica: Replica) -> None:
    document = export(replica)
    boosts = document.pop("boosts")
    head = replica.api("GET", "/services/checkout/effective").json()
    assert document.pop("commitId").startswith(head["point"].partition("-")[2])
    assert len(document.pop("storeId")) >= 16
    assert document == {
        "format": "tracing-config/1",
        "revision": head["revision"],
        "default": {"servicePattern": "*", "samplingStrategy": {"type": "probabilistic", "param": 0.01}},
        "services": {
            "a/b": {"samplingStrategy": {"type": "probabilistic", "param": 0.125}},
            "checkout": {"samplingStrategy": {"type": "probabilistic", "param": 0.5}},
        },
        "policies": {"batch": {"servicePattern": "batch-*", "samplingStrategy": {"type": "probabilistic", "param": 0.5}}},
    }
    assert list(document["services"]) == ["a/b", "checkout"]
    assert boosts["checkout"]["samplingStrategy"]["param"] == 1.0


def test_an_export_of_an_old_revision_has_what_was_then(replica: Replica) -> None:
    document = export(replica, revision=1)
    assert document["revision"] == 1
    assert list(document["services"]) == ["checkout"]
    assert (document["policies"], document["boosts"]) == ({}, {})
    assert document["default"] == {"servicePattern": "*", "enabled": False}
    file = export(replica, revision=1, format="jaeger")
    assert file["revision"] == 1
    assert [entry["service"] for entry in file["strategies"]["service_strategies"]] == ["checkout", "mounted"]
    assert file["strategies"]["default_strategy"] == {"type": "probabilistic", "param": 0.001}


def test_a_revision_that_never_was_is_not_found(replica: Replica) -> None:
    assert replica.api("GET", "/export", params={"revision": 1000}).status_code == 404


@pytest.mark.parametrize("parameters", [{"revision": "-1"}, {"revision": "x"}, {"format": "yaml"}, {"mode": "merge"}])
def test_a_bad_parameter_is_refused(replica: Replica, parameters: dict[str, str]) -> None:
    response = replica.api("GET", "/export", params=parameters)
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == next(iter(parameters))


def test_another_server_answers_from_the_exported_strategies_file_as_this_one_does(replica: Replica, tmp_path: Path) -> None:
    document = export(replica, format="jaeger")
    assert {(one["kind"], one["name"]) for one in document["cannotExpress"]} == {("policy", "batch"), ("boost", "checkout")}
    file = tmp_path / "strategies.json"
    file.write_text(json.dumps(document["strategies"]))
    with Replica(tmp_path, TRACING_CONFIG_STRATEGIES_FILE=str(file)) as other:
        for service in ("a/b", "mounted", "nobody"):
            assert other.poll_http(service) == replica.poll_http(service)
            assert other.poll_grpc(service) == replica.poll_grpc(service)
        assert other.rate("checkout") == 0.5


def test_an_answer_in_pieces_has_the_security_headers_too(replica: Replica) -> None:
    headers = replica.api("GET", "/export").headers
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "tracing-config"

"""The OpenAPI document: every route is in it, and what the server answers is what it says, whatever it is sent."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from server.sidecar.openapi import openapi_document
from server.sidecar.routes import ROUTES
from tests.e2e.replica import TOKEN, Replica, strategies
from tests.services.elasticsearch_stand_in import ElasticsearchStandIn
from tests.waiting import eventually

DOCUMENT = json.loads(msgspec.json.encode(openapi_document(ROUTES)))
EXAMPLES = {GenerationMode.POSITIVE: 30, GenerationMode.NEGATIVE: 15}

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

NAMES = {
    "service": ["checkout", "a/b", "in-file"],
    "name": ["batch", "no-health-checks"],
    "metric": ["cache.gets", "http.server.requests"],
    "path": ["db", "catalog"],
}
"""Names in paths, beside any others: those of the filled database, of metrics, and of components of health."""

HALF = {"samplingStrategy": {"type": "probabilistic", "param": 0.5}}
OPERATIONS = [result.ok() for result in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations() if isinstance(result, Ok)]
ACCEPT = "/api/v1/admin/store/accept"
"""Succeeds only where the store was taken away, where no write does."""

coin: st.SearchStrategy[bool] = st.booleans()


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    folder = tmp_path_factory.mktemp("openapi")
    file = folder / "strategies.json"
    file.write_text(strategies(0.25, **{"in-file": 0.125, "checkout": 0.75}))
    with (
        ElasticsearchStandIn(["jaeger-span-2026-01-01", "jaeger-span-write"]) as elasticsearch,
        Replica(
            folder / "data",
            TRACING_CONFIG_STRATEGIES_FILE=str(file),
            TRACING_CONFIG_ELASTICSEARCH_URL=elasticsearch.url,
        ) as replica,
    ):
        yield replica


@pytest.fixture
def orphan(tmp_path: Path) -> Iterator[Replica]:
    """A server whose store was taken away: it serves its snapshot."""
    with Replica(tmp_path) as replica:
        asyncio.run(eventually(lambda: any(tmp_path.glob("snapshot-*.bin"))))
        replica.stop()
        for path in tmp_path.glob("tracing-config.db*"):
            path.unlink()
        yield replica.start()


def fill(replica: Replica) -> None:
    """A few records of each kind: with operations, disabled, with a window."""
    operations = {"operationStrategies": [{"operation": "GET /health", "param": 0}]}
    writes = [
        {"kind": "service", "name": "checkout", "record": {**HALF, **operations}},
        {"kind": "service", "name": "a/b", "record": {**HALF, "enabled": False}},
        {"kind": "service", "name": "in-file", "record": HALF},
        {"kind": "policy", "name": "batch", "record": {"servicePattern": "batch-*", **HALF, "endsAt": "2030-01-01T00:00:00Z"}},
        {"kind": "policy", "name": "no-health-checks", "record": {"servicePattern": "*", **operations}},
        {"kind": "default", "record": HALF},
        *({"kind": "boost", "name": name, "record": {**HALF, "duration": "1h"}} for name in NAMES["service"]),
    ]
    response = replica.api("POST", "/batch", json={"writes": writes}, params={"takeover": "true"})
    assert response.status_code == 200, response.text


def test_every_route_is_in_the_document(replica: Replica) -> None:
    served = httpx.get(f"{replica.sidecar_url}/api/v1/openapi.json").json()
    assert served == DOCUMENT
    described = {(method.upper(), path) for path, methods in served["paths"].items() for method in methods}
    assert described == {(route.method, route.path) for route in ROUTES}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_whatever_is_sent_the_answer_is_as_described(request: pytest.FixtureRequest, replica: Replica, operation: Any) -> None:
    """No failure of the server's own, every answer fits its schema, and the operation succeeds at least once."""
    described = DOCUMENT["paths"][operation.path][operation.method]
    required = [one for one in described["parameters"] if one.get("required")]
    names = {one["name"]: st.sampled_from(NAMES[one["name"]]) for one in required if one["in"] == "path"}
    query = {one["name"]: st.just(one["schema"].get("minimum", 0)) for one in required if one["in"] == "query"}
    example = described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
    if operation.path == ACCEPT:
        replica = request.getfixturevalue("orphan")
    else:
        fill(replica)
    session, statuses = requests.Session(), set()

    def send(case: "Case[Any]") -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        response = case.call(base_url=replica.sidecar_url, session=session, headers=headers, timeout=20)
        statuses.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    def fuzz(data: st.DataObject, mode: GenerationMode) -> None:
        overrides: dict[str, Any] = {}
        positive = mode is GenerationMode.POSITIVE
        if data.draw(coin) and names:
            overrides["path_parameters"] = {name: data.draw(known) for name, known in names.items()}
        if positive and data.draw(coin):
            overrides["query"] = {name: data.draw(value) for name, value in query.items()}
        if positive and example is not None and data.draw(coin):
            overrides["body"] = example
        send(data.draw(operation.as_strategy(mode, **overrides)))

    can_be_wrong = example is not None or any(one["in"] == "query" for one in described["parameters"])
    for mode, count in EXAMPLES.items():
        if mode is GenerationMode.NEGATIVE and not can_be_wrong:
            continue
        run = given(st.data(), st.just(mode))(fuzz)
        settings(max_examples=count, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))(
            run
        )()
    assert any(200 <= status < 300 for status in statuses), statuses

"""The template and the queries for the log in Elasticsearch fit each other, the program and its pods."""

import ast
import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.deploy.kubernetes import LABEL
from tests.deploy.log_template import ERRORS, FIELDS, FOLDER, MAPPINGS, ROOT, SLOW_REQUESTS, TEMPLATE, documented

POD = "kubernetes.labels.app"
KEPT_ONLY = {"copies", "drain_seconds", "dropped", "first_warnings", "lost", "services", "thread", "warnings", "where"}
"""Fields of the log that nobody looks for."""

METHODS = {"debug", "info", "warning", "error", "exception", "log"}


def logged() -> set[str]:
    """The fields that the program gives its log by name."""
    found = set[str]()
    for file in (*(ROOT / "server").rglob("*.py"), *(ROOT / "storage").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="_log"), attr=method), keywords=keywords) if (
                    method in METHODS
                ):
                    found.update(keyword.arg for keyword in keywords if keyword.arg is not None)
    return found - {"exc_info"}


def test_no_odd_field_widens_the_mapping_or_loses_a_line() -> None:
    assert MAPPINGS["dynamic"] is False
    assert '"dynamic"' not in json.dumps(MAPPINGS["properties"]), "objects have it from the whole"
    assert TEMPLATE["template"]["settings"]["index.mapping.ignore_malformed"] is True
    assert len(FIELDS) < TEMPLATE["template"]["settings"]["index.mapping.total_fields.limit"]


def test_every_field_that_the_program_logs_is_searched_or_known_not_to_be() -> None:
    assert len(logged()) > 20
    assert logged() - set(FIELDS) == KEPT_ONLY


def conditions(query: Mapping[str, Any]) -> dict[str, Any]:
    """Of each field, what it must be."""
    found = {}
    for condition in query["query"]["bool"]["filter"]:
        ((_, fields),) = condition.items()
        found.update(fields)
    return found


def test_the_queries_look_for_what_the_operations_guide_says() -> None:
    assert conditions(ERRORS) == {POD: LABEL, "level": "ERROR", "@timestamp": {"gte": "now-24h"}}
    assert conditions(SLOW_REQUESTS) == {POD: LABEL, "response_time": {"gte": 1000}, "@timestamp": {"gte": "now-1h"}}


@pytest.mark.parametrize("query", [ERRORS, SLOW_REQUESTS])
def test_each_field_of_a_query_has_the_type_that_it_needs(query: Mapping[str, Any]) -> None:
    types = {POD: "keyword", "level": "keyword", "@timestamp": "date", "response_time": "double"}
    used = [*conditions(query), *(field for each in query["sort"] for field in each)]
    assert {field: FIELDS[field] for field in used} == {field: types[field] for field in used}


def test_each_file_has_a_documented_command() -> None:
    assert {command.file for command in documented()} == set(FOLDER.iterdir())

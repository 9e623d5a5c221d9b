"""The dashboard is one that Grafana 12 can show, as far as that is known without Grafana, and agrees with the alerts."""

import re
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from tests.operations.alert_rules import ALERTS
from tests.operations.grafana import DASHBOARD, PANELS, SHOWN, expressions
from tests.operations.promql import metrics, tokens
from tests.operations.promtool import promtool

SCHEMA = 42
"""The version of the format of Grafana 12.2 and later; an older one would be migrated at each load."""

THRESHOLDS = {
    "Us: a poll takes (p95)": "TracingConfigSlowPolls",
    "Us: self-polls that failed": "TracingConfigSelfPollFailing",
    "Database: catalog is stale by": "TracingConfigStaleCatalog",
    "Self-polls: how long one takes": "TracingConfigSlowPolls",
    "Self-polls that failed": "TracingConfigSelfPollFailing",
    "Latency": "TracingConfigHighLatency",
    "Latency of the slowest routes (p95)": "TracingConfigHighLatency",
    "Error rate": "TracingConfigHighErrorRate",
    "Authentication failures": "TracingConfigAuthenticationFailures",
    "Staleness": "TracingConfigStaleCatalog",
    "Pool in use": "TracingConfigLowDBConnections",
    "Memory": "TracingConfigHighMemoryUsage",
    "CPU": "TracingConfigHighCPUUsage",
}
"""Panels that turn red, or have a red line, where an alert fires."""

each_panel = pytest.mark.parametrize("panel", SHOWN, ids=lambda panel: str(panel["title"]))
Panel = dict[str, object]


def test_it_is_of_the_format_of_grafana_12() -> None:
    assert (DASHBOARD["schemaVersion"], DASHBOARD["uid"], DASHBOARD["id"]) == (SCHEMA, "tracing-config", None)


def test_panels_have_ids_and_titles_of_their_own() -> None:
    for name in ("id", "title"):
        found = [panel[name] for panel in PANELS]
        assert sorted(set(found)) == sorted(found)


def test_no_panel_lies_on_another_or_hangs_over_the_edge() -> None:
    places = {panel["title"]: panel["gridPos"] for panel in PANELS}
    for title, place in places.items():
        assert place["x"] >= 0, title
        assert place["x"] + place["w"] <= 24, title
        assert min(place["w"], place["h"]) > 0, title
    for (title, one), (other_title, other) in combinations(places.items(), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, f"{title} and {other_title} lie on each other"


def test_the_first_look_tells_us_the_database_and_the_clients_apart() -> None:
    top = [panel["title"] for panel in SHOWN if panel["gridPos"]["y"] == SHOWN[0]["gridPos"]["y"]]
    assert len(top) == 8
    assert {title.partition(":")[0] for title in top} == {"Us", "Database", "Redis", "Clients"}


@each_panel
def test_a_panel_asks_the_chosen_source_and_has_a_unit(panel: Panel) -> None:
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert panel["datasource"] == source
    for target in panel["targets"]:  # type: ignore[attr-defined]
        assert target["datasource"] == source
    references = [target["refId"] for target in panel["targets"]]  # type: ignore[attr-defined]
    assert sorted(set(references)) == references
    assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"]  # type: ignore[index]


@each_panel
def test_a_number_that_turns_red_says_what_it_is(panel: Panel) -> None:
    assert panel["type"] != "stat" or panel["description"]


def test_prometheus_takes_every_expression(tmp_path: Path) -> None:
    rules = [{"record": "a", "expr": expression} for panel in SHOWN for expression in expressions(panel)]
    assert len(rules) >= len(SHOWN)
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    checked = promtool("check", "rules", "--lint=none", file)
    assert checked.returncode == 0, checked.stderr


@each_panel
def test_every_series_is_of_the_chosen_job_and_replicas(panel: Panel) -> None:
    for target in panel["targets"]:  # type: ignore[attr-defined]
        asked = re.findall(r"(\w+)\{([^}]*)\}", target["expr"])
        assert {name for name, _ in asked} == metrics(target["expr"].replace("$__rate_interval", "1m"))
        assert all('job="$job"' in labels for _, labels in asked)
    assert panel["type"] == "table" or any('instance=~"$instance"' in target["expr"] for target in panel["targets"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("title", THRESHOLDS)
def test_a_panel_is_red_where_the_alert_fires(title: str) -> None:
    (panel,) = [panel for panel in SHOWN if panel["title"] == title]
    *_, threshold = [token.text for token in tokens(ALERTS[THRESHOLDS[title]]["expr"])]
    (red,) = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"] if step["color"] == "red"]
    assert red == float(threshold)


def test_every_metric_of_an_alert_is_on_the_dashboard() -> None:
    shown = {metric for panel in SHOWN for expression in expressions(panel) for metric in metrics(expression)}
    asked = {metric for rule in ALERTS.values() for metric in metrics(rule["expr"])}
    assert asked - shown == set()

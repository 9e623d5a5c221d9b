"""Every alert is right for Prometheus, fires when it should and not before, and says where to read on."""

import re
from pathlib import Path

import pytest
import yaml

from tests.operations.alert_rules import ALERTS, CASES, GROUPS, ROOT, RULES, cases_of, fires
from tests.operations.promql import metrics
from tests.operations.promtool import promtool

each_alert = pytest.mark.parametrize("alert", ALERTS)

GUIDE = {
    "TracingConfigDown": ("5m", "critical", "== 0"),
    "TracingConfigHighErrorRate": ("10m", "warning", "* 100 > 5"),
    "TracingConfigHighLatency": ("15m", "warning", "> 0.5"),
    "TracingConfigHighMemoryUsage": ("10m", "warning", "* 100 > 85"),
    "TracingConfigHighCPUUsage": ("10m", "warning", "* 100 > 80"),
    "TracingConfigLowDBConnections": ("5m", "warning", "* 100 > 90"),
    "TracingConfigRedisDown": ("2m", "critical", "== 0"),
}
"""The rules of the old operations guide: for how long, how severe, and where its threshold is."""


def test_prometheus_takes_the_rules() -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert checked.returncode == 0, checked.stderr
    assert f"{len(ALERTS)} rules found" in checked.stdout


def test_every_case_comes_out_as_it_says() -> None:
    tested = promtool("test", "rules", CASES)
    assert tested.returncode == 0, tested.stderr + tested.stdout


def test_no_two_rules_have_one_name() -> None:
    assert sum(len(group["rules"]) for group in GROUPS) == len(ALERTS)


@each_alert
def test_an_alert_has_a_case_that_fires_and_a_near_one_that_does_not(alert: str) -> None:
    cases = cases_of(alert)
    assert {fires(case) for case in cases} == {True, False}
    for case in cases:
        given = {series["series"].partition("{")[0] for series in case["input_series"]}
        assert given >= metrics(ALERTS[alert]["expr"]), f"{case['name']}: nothing could fire without its metrics"


@each_alert
def test_a_firing_case_looks_at_the_last_minute_of_silence_too(alert: str) -> None:
    for case in cases_of(alert):
        if fires(case):
            minutes = {bool(test["exp_alerts"]): _minutes(test["eval_time"]) for test in reversed(case["alert_rule_test"])}
            assert minutes[False] == minutes[True] - 1, case["name"]


@each_alert
def test_an_alert_says_how_severe_it_is_whose_it_is_and_where_to_read_on(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"].keys() == {"severity", "team"}
    assert (rule["labels"]["severity"] in {"critical", "warning"}, rule["labels"]["team"]) == (True, "infrastructure")
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"docs/operations.md#{alert.lower()}"


def test_every_runbook_is_a_heading() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    anchors = {_anchor(heading) for heading in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}
    asked = {rule["annotations"]["runbook"].partition("#")[2] for rule in ALERTS.values()}
    assert asked - anchors == set()


def test_every_alert_that_the_page_has_a_heading_for_is_there() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    assert set(re.findall(r"^#+ (TracingConfig\w+)$", page, re.MULTILINE)) <= ALERTS.keys()


@pytest.mark.parametrize("alert", GUIDE)
def test_a_rule_of_the_guide_keeps_its_name_its_time_its_severity_and_its_threshold(alert: str) -> None:
    lasts, severity, threshold = GUIDE[alert]
    rule = ALERTS[alert]
    assert (rule["for"], rule["labels"]["severity"]) == (lasts, severity)
    assert rule["expr"].strip().endswith(threshold)


def test_every_rule_is_about_this_job_alone() -> None:
    for alert, rule in ALERTS.items():
        asked = re.findall(r"(\w+)\{([^}]*)\}", rule["expr"])
        assert {name for name, _ in asked} == metrics(rule["expr"]), f"{alert}: a metric is asked for without a selector"
        assert all('job="tracing-config"' in labels for _, labels in asked), alert


def test_the_operator_gets_the_same_groups() -> None:
    file = ROOT / "deploy" / "kubernetes" / "components" / "prometheus-operator" / "prometheus-rule.yaml"
    assert yaml.load(file.read_text(), yaml.CSafeLoader)["spec"]["groups"] == GROUPS


def test_the_prometheus_of_compose_takes_its_configuration_with_the_alerts(tmp_path: Path) -> None:
    compose = yaml.load((ROOT / "deploy" / "compose.yaml").read_text(), yaml.CSafeLoader)
    text = compose["configs"]["prometheus"]["content"]
    assert "/etc/prometheus/alerts.yaml" in text
    file = tmp_path / "prometheus.yml"
    file.write_text(text.replace("/etc/prometheus/alerts.yaml", str(RULES)))
    checked = promtool("check", "config", "--lint=all", "--lint-fatal", file)
    assert checked.returncode == 0, checked.stderr
    assert f"{len(ALERTS)} rules found" in checked.stdout


def test_a_rule_that_promtool_cannot_read_fails(tmp_path: Path) -> None:
    spoilt = tmp_path / "alerts.yaml"
    spoilt.write_text(RULES.read_text().replace('up{job="tracing-config"} == 0', 'up{job="tracing-config"} =='))
    assert promtool("check", "rules", spoilt).returncode != 0


def _minutes(time: str) -> int:
    """Of a time as the cases write it, like 1d3h1m."""
    units = {"d": 1440, "h": 60, "m": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([dhm])", time))


def _anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")

"""The alerts and their cases, as the files have them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULES = FOLDER / "alerts.yaml"
CASES = FOLDER / "alerts.test.yaml"

GROUPS: Sequence[Mapping[str, Any]] = yaml.load(RULES.read_text(), yaml.CSafeLoader)["groups"]
ALERTS: Mapping[str, Mapping[str, Any]] = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}

Case = Mapping[str, Any]

_CASES: Sequence[Case] = yaml.load(CASES.read_text(), yaml.CSafeLoader)["tests"]


def cases_of(alert: str) -> Sequence[Case]:
    """Those that look for this alert; each looks for one."""
    return [case for case in _CASES if {test["alertname"] for test in case["alert_rule_test"]} == {alert}]


def fires(case: Case) -> bool:
    """Whether its alert fires at some time."""
    return any(test["exp_alerts"] for test in case["alert_rule_test"])


def write_alone(folder: Path, rule: Mapping[str, Any], cases: Sequence[Case]) -> Path:
    """A rule with these cases, without all others; the file for `promtool test rules`."""
    rules, tests = folder / "rules.yaml", folder / "rules.test.yaml"
    rules.write_text(yaml.dump({"groups": [{"name": "one", "rules": [rule]}]}, Dumper=yaml.CSafeDumper))
    document = {"rule_files": [rules.name], "evaluation_interval": "1m", "tests": cases}
    tests.write_text(yaml.dump(document, Dumper=yaml.CSafeDumper))
    return tests

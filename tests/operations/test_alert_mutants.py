"""The cases know their rules: whatever is changed in an alert, one of them fails.

Mutants of a rule: every comparison turned round, every number a fifth larger and smaller (0, 1, ...: one more, one less),
every `and`, `or`, `unless` and offset another, a minute more and less of `for`, the other severity.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.operations.alert_rules import ALERTS, cases_of, write_alone
from tests.operations.promql import Token, outside, tokens
from tests.operations.promtool import promtool

NEGATED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
OTHER_SET = {"and": "unless", "unless": "and", "or": "and"}
OTHER_SEVERITY = {"critical": "warning", "warning": "critical"}

Rule = Mapping[str, Any]


def mutants(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """Each with what was changed."""
    expression: str = rule["expr"]
    for token in outside(tokens(expression)):
        for text in _others(token):
            changed = f"{expression[: token.start]}{text}{expression[token.end :]}"
            yield f"{token.text} at {token.start} is {text}", {**rule, "expr": changed}
    minutes = _minutes(rule.get("for", "0m"))
    for other in {minutes + 1, max(0, minutes - 1)} - {minutes}:
        yield f"for {other}m", {**rule, "for": f"{other}m"}
    yield "the other severity", {**rule, "labels": {**rule["labels"], "severity": OTHER_SEVERITY[rule["labels"]["severity"]]}}


def _others(token: Token) -> Iterator[str]:
    if token.text in NEGATED:
        yield NEGATED[token.text]
    elif token.text in OTHER_SET:
        yield OTHER_SET[token.text]
    elif token.kind == "duration":
        yield from (f"{_minutes(token.text) + 1}m", f"{_minutes(token.text) - 1}m")
    elif token.kind == "number":
        value = float(token.text)
        # A count has no fifth.
        changes = (value - 1, value + 1) if value in {0, 1, 3} else (value * 0.8, value * 1.2)
        yield from map(str, changes)


def _minutes(duration: str) -> int:
    return int(duration[:-1]) * {"m": 1, "h": 60}[duration[-1]]


@pytest.mark.parametrize("alert", ALERTS)
def test_a_case_fails_when_the_rule_is_another(alert: str, tmp_path: Path) -> None:
    rule, cases = ALERTS[alert], cases_of(alert)
    assert promtool("test", "rules", write_alone(tmp_path, rule, cases)).returncode == 0
    found = dict(mutants(rule))
    assert len(found) >= 2, found
    all_of_them = tmp_path / "mutants.yaml"
    all_of_them.write_text(yaml.dump({"groups": [{"name": "all", "rules": [*found.values()]}]}, Dumper=yaml.CSafeDumper))
    checked = promtool("check", "rules", "--lint=none", all_of_them)
    assert checked.returncode == 0, checked.stderr  # One that cannot be read would fail for that alone.
    survivors = [
        change
        for change, mutant in found.items()
        if promtool("test", "rules", write_alone(tmp_path, mutant, cases)).returncode == 0
    ]
    assert survivors == []

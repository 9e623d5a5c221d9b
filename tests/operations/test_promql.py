"""What is found in expressions is what they ask for."""

from pathlib import Path

import pytest
import yaml

from tests.operations.promql import metrics, outside, selectors, tokens
from tests.operations.promtool import promtool

EXPRESSIONS: dict[str, dict[str, dict[str, str | None]]] = {
    "up": {"up": {}},
    'sum by (job) (rate(a_total{job="x", status=~"5.."}[5m])) / on (job) b > 1e3': {
        "a_total": {"job": "x", "status": None},
        "b": {},
    },
    "a offset 5m unless ignoring (protocol) b == bool 1 # c": {"a": {}, "b": {}},
    "sum(a) without (x) + time() - Inf": {"a": {}},
    "a < on (job) group_left (x) max by (job) (b offset 2m)": {"a": {}, "b": {}},
    "topk(5, a{x='}'} @ 3)": {"a": {"x": "}"}},
    'label_replace(a, "up", "$1", "by", "(.*)")': {"a": {}},
    "max_over_time(rate(a:b[5m])[1h:1m])": {"a:b": {}},
    'a{b!="c", d!~"e"}': {"a": {"b": None, "d": None}},
}


def test_prometheus_takes_these_expressions(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    rules = [{"record": "a", "expr": expression} for expression in EXPRESSIONS]
    file.write_text(yaml.safe_dump({"groups": [{"name": "a", "rules": rules}]}))
    checked = promtool("check", "rules", "--lint=none", file)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_metrics_and_labels_of_an_expression_are_found(expression: str) -> None:
    assert {one.metric: one.labels for one in selectors(expression)} == EXPRESSIONS[expression]
    assert metrics(expression) == EXPRESSIONS[expression].keys()


def test_what_is_outside_of_selectors_ranges_and_lists_is_found() -> None:
    expression = 'sum by (job) (rate(a{job="x"}[5m])) / on (job) b > 1'
    assert [token.text for token in outside(tokens(expression))] == [
        "sum", "(", "rate", "(", "a", ")", ")", "/", "b", ">", "1",
    ]  # fmt: skip


def test_what_is_no_word_of_the_language_is_refused() -> None:
    with pytest.raises(AssertionError, match="what is"):
        tokens("a ? b")

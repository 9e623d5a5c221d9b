"""The dashboard, as the file has it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "deploy" / "grafana" / "tracing-config.json"

DASHBOARD: Mapping[str, Any] = json.loads(FILE.read_text())
PANELS: Sequence[Mapping[str, Any]] = DASHBOARD["panels"]
SHOWN = [panel for panel in PANELS if panel["type"] != "row"]

_VARIABLES = {"$__rate_interval": "1m", "$job": "tracing-config", "$instance": ".+"}


def expressions(panel: Mapping[str, Any]) -> list[str]:
    """What it asks Prometheus, with every variable replaced as Grafana would."""
    found = []
    for target in panel["targets"]:
        expression: str = target["expr"]
        for name, value in _VARIABLES.items():
            expression = expression.replace(name, value)
        assert "$" not in expression, f"{panel['title']}: a variable that nobody sets in {expression}"
        found.append(expression)
    return found

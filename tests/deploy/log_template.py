"""The index template for the log, and the two queries of the operations guide, as they are shipped."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "deploy" / "elasticsearch"


def shipped(name: str) -> dict[str, Any]:
    """One of the files."""
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return document


def _leaves(properties: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, str]]:
    for name, field in properties.items():
        if "properties" in field:
            yield from _leaves(field["properties"], f"{place}{name}.")
        else:
            yield f"{place}{name}", field["type"]


TEMPLATE = shipped("index-template")
MAPPINGS = TEMPLATE["template"]["mappings"]
FIELDS = dict(_leaves(MAPPINGS["properties"]))
"""The type of each field, by its name with dots."""

ERRORS, SLOW_REQUESTS = shipped("errors-of-a-day"), shipped("slow-requests-of-an-hour")

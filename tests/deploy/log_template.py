"""The index template for the log, and the two queries of the operations guide, as they are shipped and documented."""

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "elasticsearch"


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


class Command(NamedTuple):
    """What a documented ``curl`` sends."""

    method: str
    path: str
    headers: dict[str, str]
    file: Path


def documented() -> list[Command]:
    """The commands of the documentation that send one of the files, in their order."""
    lines = (ROOT / "docs" / "integrations.md").read_text().splitlines()
    return [_command(shlex.split(line)) for line in lines if line.startswith("curl ") and f"deploy/{FOLDER.name}/" in line]


def _command(words: list[str]) -> Command:
    _, x, method, url, h, header, data, file = words
    assert (x, h, data) == ("-X", "-H", "--data-binary")
    name, _, value = header.partition(": ")
    return Command(method, url.removeprefix("$ELASTICSEARCH"), {name: value}, ROOT / file.removeprefix("@"))

"""docs/operations.md as its tests read it: what can be run in its text, and the table of the old guide's lines at its end."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
TEXT, _, TABLE = PAGE.partition("\n## From the old guide\n")

RUNS_HERE, NEEDS_A_CLUSTER, NONE = "runs here", "needs a cluster", "none"
RUN = ("bash", "sql", "promql")
"""Languages of blocks that are run."""

_BLOCK = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$|^#+ (?P<heading>[^\n]*)$", re.MULTILINE | re.DOTALL)
_CELL = re.compile(r"(?<!\\)\|")
_CODE = re.compile(r"`([^`]+)`")
_COMMENT = re.compile(r"^(#|--).*\n", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block."""

    name: str
    """The heading above it, and its number among those that are run below that."""
    language: str
    text: str

    @property
    def parts(self) -> list[str]:
        """Its commands as they are run: a block for the shell in one piece, else each statement or expression."""
        if self.language == "bash":
            return [self.text]
        ends = r";\n" if self.language == "sql" else r"\n\n"
        return [part.strip() for part in re.split(ends, _COMMENT.sub("", self.text)) if part.strip()]


class Row(NamedTuple):
    """A line of the old guide, and what became of it."""

    line: str
    """Its number there, with a letter where it has several."""
    where: str
    was: str
    here: str
    mark: str

    @property
    def command(self) -> str:
        """What is typed: its first code."""
        found = _CODE.search(self.here)
        assert found is not None, self
        return found[1]


def blocks() -> list[Block]:
    """Those that are run, from top to bottom."""
    return list(_blocks(cluster=False))


def cluster_blocks() -> list[Block]:
    """Those for a shell that say that they need a cluster."""
    return list(_blocks(cluster=True))


def _blocks(*, cluster: bool) -> Iterator[Block]:
    heading, number = "", 0
    for found in _BLOCK.finditer(TEXT):
        if found["heading"] is not None:
            heading, number = found["heading"], 0
            continue
        language, _, mark = found["info"].partition(" ")
        assert mark in {"", "cluster"}, found["info"]
        if language in RUN and bool(mark) == cluster:
            number += 1
            yield Block(f"{heading} {number}", language, found["text"])


def rows() -> list[Row]:
    """The table."""
    lines = [line for line in TABLE.splitlines() if line.startswith("|")][2:]
    return [Row(*(cell.strip().replace("\\|", "|") for cell in _CELL.split(line)[1:-1])) for line in lines]

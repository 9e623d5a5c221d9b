"""The Dockerfile and the .dockerignore, read as a builder reads them, as far as ours need it."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Instruction:
    """One instruction with its lines joined."""

    name: str
    flags: dict[str, str]
    text: str
    """What follows the flags."""

    @property
    def words(self) -> list[str]:
        """In either form: a JSON list, or words as a shell would split them."""
        if self.text.startswith("["):
            words: list[str] = json.loads(self.text)
            return words
        return shlex.split(self.text)

    @property
    def pairs(self) -> dict[str, str]:
        """Of ENV and LABEL."""
        return dict(word.split("=", 1) for word in self.words)


def instructions(path: Path = ROOT / "Dockerfile") -> list[Instruction]:
    lines = (line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [_instruction(line) for line in joined.splitlines() if line.strip()]


def _instruction(line: str) -> Instruction:
    name, text = line.split(None, 1)
    flags = {}
    while found := re.match(r"--([a-z-]+)=(\S+)\s+", text):
        flags[found[1]] = found[2]
        text = text[found.end() :]
    return Instruction(name, flags, text)


def last_stage() -> list[Instruction]:
    """What the image is made of, the stages before it left out."""
    found = instructions()
    last = max(place for place, one in enumerate(found) if one.name == "FROM")
    return found[last:]


def of_image(name: str) -> list[Instruction]:
    """The instructions of one kind in the last stage."""
    return [one for one in last_stage() if one.name == name]


def environment() -> dict[str, str]:
    """Every variable that the image sets."""
    return {name: value for one in of_image("ENV") for name, value in one.pairs.items()}


def context(folder: Path = ROOT) -> Iterator[str]:
    """The files that .dockerignore lets through to the builder, by their path in the folder."""
    rules = [line.strip() for line in (folder / ".dockerignore").read_text().splitlines()]
    rules = [rule for rule in rules if rule and not rule.startswith("#")]
    # The folders that git never has, so that the walk is short.
    unwanted = {".git", ".mypy_cache", "var", "build"}
    for top in sorted(folder.iterdir()):
        if top.name in unwanted or top.name.startswith(".venv"):
            continue
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not _is_ignored(name, rules):
                yield name


def _is_ignored(name: str, rules: list[str]) -> bool:
    """The last rule that matches the path, or a folder it lies in, decides."""
    parts = name.split("/")
    places = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    ignored = False
    for rule in rules:
        if any(_matches(place, rule.removeprefix("!").strip("/")) for place in places):
            ignored = not rule.startswith("!")
    return ignored


def _matches(place: str, pattern: str) -> bool:
    """Part by part; `**/` at the front stands for any number of folders, and our file uses it nowhere else."""
    if pattern.startswith("**/"):
        return fnmatchcase(place.rsplit("/", 1)[-1], pattern[3:])
    parts, patterns = place.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))

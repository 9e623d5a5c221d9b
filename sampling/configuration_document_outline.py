"""What a document that is to be imported has at its top: which format it is, and where its parts begin."""

from collections.abc import Generator
from typing import Literal, NamedTuple

from sampling.json_cursor import JsonCursor
from sampling.strategies_file_entry import folded

Format = Literal["tracing-config", "jaeger"]

MAX_VALUE_CHARACTERS = 2**21
"""Of one entry: what is parsed in one piece, while nobody else has a turn. A record that was put has at most half of it."""

MAX_ENTRIES = 1_000_000

SECTIONS = ("services", "policies", "boosts")
"""The parts of a document in our own format that hold records by name."""

_OURS = ("format", "default", *SECTIONS)
_JAEGERS = ("default_strategy", "service_strategies")


class Part(NamedTuple):
    """One member of the document's object."""

    key: str
    position: int
    """Where its value begins, for ``JsonCursor.position``."""

    entries: int
    """How many records or services are in it."""


class DocumentError(ValueError):
    """Is raised for a document that is JSON but cannot be taken at all; the message names the place and the cure."""


class Outline(NamedTuple):
    """The top of a whole document that is JSON to its end."""

    parts: list[Part]

    @property
    def format(self) -> Format:
        """Which format it is; what has no key of either is taken for our own.

        Raises:
            DocumentError: it has keys of both.
        """
        jaegers = [part.key for part in self.parts if folded(part.key) in _JAEGERS]
        ours = [part.key for part in self.parts if part.key in _OURS]
        if jaegers and ours:
            raise DocumentError(
                f"{ours[0]}: is a key of our own format, and {jaegers[0]!r} one of Jaeger's; import one file of each"
            )
        return "jaeger" if jaegers else "tracing-config"

    @property
    def entries(self) -> int:
        return sum(part.entries for part in self.parts)


def outline_in_slices(cursor: JsonCursor) -> Generator[None, None, Outline]:
    """Walk a whole document; yields after each entry.

    Raises:
        JsonError: it is no JSON object, or one value in it is too long.
        DocumentError: it has too many entries.
    """
    parts = []
    entries = 0
    for key in cursor.members():
        position, first = cursor.position, entries
        for _ in _entries(cursor, key):
            cursor.bounded_value(MAX_VALUE_CHARACTERS)
            entries += 1
            if entries > MAX_ENTRIES:
                raise DocumentError(f"{key}: has more than {MAX_ENTRIES} entries; import it in parts")
            yield
        parts.append(Part(key, position, entries - first))
    cursor.finish()
    return Outline(parts)


def _entries(cursor: JsonCursor, key: str) -> Generator[None, None, None]:
    """Yields where a value that belongs to this member must be taken; a member that is no section has one."""
    if key in SECTIONS and cursor.at("{"):
        for _ in cursor.members():
            yield
    elif folded(key) == "service_strategies" and cursor.at("["):
        for _ in cursor.elements():
            yield
    else:
        yield

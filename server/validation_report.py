"""What a validation says: problems, warnings, and the records that they are about."""

from collections.abc import Sequence

import msgspec

from sampling.records import Key, Kind

SHOWN = 100
"""So many records or places are listed in one finding, the first ones; all are counted."""


class FoundRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record that a finding is about."""

    kind: Kind
    name: str
    message: str = ""


class FoundPlace(msgspec.Struct, frozen=True):
    """A place in the strategies file."""

    path: str
    message: str


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong, or that somebody should know."""

    kind: str
    message: str
    """What it is, and what to do about it."""

    count: int = 0
    """How many records or places it is about; 0 where it is about none."""

    records: Sequence[FoundRecord] = ()
    """The first 100."""

    places: Sequence[FoundPlace] = ()
    """The first 100."""


class Report(msgspec.Struct, frozen=True):
    """The outcome. ``valid`` is false exactly when there are problems."""

    valid: bool
    revision: int | None
    """All comparisons are at this one; null before anything is served."""

    point: str | None
    problems: Sequence[Finding]
    warnings: Sequence[Finding]


class Listed:
    """Collects the records of a finding."""

    def __init__(self, kind: str, message: str) -> None:
        self._kind, self._message = kind, message
        self._count = 0
        self._records: list[FoundRecord] = []

    def add(self, key: Key, message: str = "") -> None:
        self._count += 1
        if len(self._records) < SHOWN:
            self._records.append(FoundRecord(key.kind, key.name, message))

    def findings(self) -> list[Finding]:
        """The finding, or none where no record was added."""
        return [Finding(self._kind, self._message, self._count, self._records)] if self._count else []

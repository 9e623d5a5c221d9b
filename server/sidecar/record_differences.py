"""Records before and after, as answers tell them: of a dry run, of two revisions, of the log."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from sampling.records import Key, Kind

SHOWN_BYTES = 8 * 1024 * 1024
"""Fewer are told where their texts together would be longer than this."""


class RecordDifference(msgspec.Struct, frozen=True):
    """What becomes of one record; null is: no record."""

    kind: Kind
    name: str
    before: msgspec.Raw | None
    after: msgspec.Raw | None


class Differing(Protocol):
    """A record that is not the same before and after: of a batch that was planned, or of two revisions."""

    @property
    def key(self) -> Key: ...

    @property
    def before(self) -> bytes | None: ...

    @property
    def after(self) -> bytes | None: ...


def shown_differences(records: Iterable[Differing]) -> Sequence[RecordDifference]:
    """The first of these records, at least one, as many as SHOWN_BYTES allow."""
    shown: list[RecordDifference] = []
    size = 0
    for each in records:
        size += len(each.before or b"") + len(each.after or b"")
        if shown and size > SHOWN_BYTES:
            break
        shown.append(RecordDifference(each.key.kind, each.key.name, raw(each.before), raw(each.after)))
    return shown


def raw(body: bytes | None) -> msgspec.Raw | None:
    """The text of a record as it goes into an answer; one that somebody broke behind the program's back, as a string."""
    if body is None:
        return None
    try:
        return msgspec.json.decode(body, type=msgspec.Raw)
    except ValueError:
        return msgspec.Raw(msgspec.json.encode(body.decode(errors="replace")))

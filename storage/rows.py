"""How records stand in the tables of the stores: services in one, policies and boosts in the other."""

from collections.abc import AsyncIterator, Generator, Iterable, Sequence
from typing import Any, cast

from sampling.records import Change, Key, Kind, Stored
from storage.interface import Head

BOOST_PREFIX = "boost:"
"""The boost of a service is the row of this name in ``sampling_policies``. No policy may be called so."""

EVERYTHING = """
SELECT 'service', service_name, revision, commit_id, record FROM tracing_configurations
UNION ALL
SELECT 'policy', name, revision, commit_id, record FROM sampling_policies
"""
"""The rows of a full load, as ``change_of`` takes them; the same in every store."""

CHUNK_ROWS = 250
"""Rows that are read and turned into records at once: about half a millisecond, in which no poll is answered."""


def row_name(key: Key) -> str:
    """The primary key of a record's row."""
    return BOOST_PREFIX + key.name if key.kind == "boost" else key.name


def change_of(kind: str, name: str, revision: int | None, commit_id: str | None, record: str | None) -> Change:
    """The record of a row. ``name`` may be the primary key or the key in the log; no revision: deleted."""
    if kind == "policy" and name.startswith(BOOST_PREFIX):
        key = Key("boost", name.removeprefix(BOOST_PREFIX))
    else:
        key = Key(cast("Kind", kind), name)
    if revision is None or commit_id is None or record is None:
        return Change(key, None)
    return Change(key, Stored(revision, commit_id, record.encode()))


def stored_by_key(rows: Iterable[Iterable[Any]]) -> Generator[None, None, dict[Key, Stored]]:
    """The records of many rows. At each ``yield`` something else may have its turn, see ``storage.pacing``."""
    records = {}
    for row in rows:
        change = change_of(*row)
        if change.record is not None:
            records[change.key] = change.record
        yield
    return records


class RowsLoad:
    """A ``storage.interface.Load`` over an open read transaction."""

    def __init__(self, head: Head, chunks: AsyncIterator[Sequence[Change]]) -> None:
        self.head = head
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[Sequence[Change]]:
        return self._chunks

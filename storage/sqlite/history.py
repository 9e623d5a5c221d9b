"""The past of an SQLite file: what is asked within one transaction."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from msgspec.structs import replace

from sampling.records import Key
from storage.checksum import read_checksum
from storage.errors import RevisionUnknown
from storage.history import LOGGED_BYTES, Differences, Flaws, LoggedChange, Revision, Wanted
from storage.interface import Head, Point
from storage.log_rows import (
    DIFFERENCES,
    INCOMPLETE,
    REVISION,
    STATE_AT,
    UNLOGGED,
    difference,
    logged_change,
    logged_query,
)
from storage.rows import CHUNK_ROWS
from storage.sqlite.connection import Connection
from storage.sqlite.read import PAUSE_SECONDS

Row = TypeVar("Row")


def read_logged(connection: Connection, wanted: Wanted, limit: int) -> Sequence[LoggedChange]:
    """As ``History.logged``. Raises what the library raises."""
    query, parameters = logged_query(wanted, limit, instant="rtrim(created_at, 'Z')")
    texts = [_instant(each) if isinstance(each, datetime) else each for each in parameters]
    changes: list[LoggedChange] = []
    size = 0
    for row in _ask(connection, query, *texts):
        changes.append(logged_change(_revision(*row[:5]), row[5:]))
        size += changes[-1].size
        if size > LOGGED_BYTES:
            break
        if len(changes) % CHUNK_ROWS == 0:
            time.sleep(PAUSE_SECONDS)
    return changes


def read_revision(connection: Connection, number: int) -> Revision:
    """As ``History.revision``. Raises what the library raises, and RevisionUnknown."""
    revision, _ = _commit(connection, number)
    return revision


def read_differences(connection: Connection, head: Point, before: int, after: int | None) -> Differences:
    """As ``History.differences``. Raises what the library raises, and RevisionUnknown."""
    after = head.revision if after is None else after
    for number in (before, after):
        _commit(connection, number)
    cursor = _ask(connection, DIFFERENCES, min(before, after), max(before, after))
    if before <= after:
        return Differences(head, _rows(cursor, difference))
    return Differences(head, _rows(cursor, lambda kind, name, first, last: difference(kind, name, last, first)))


def read_flaws(connection: Connection, head: Point, limit: int) -> Flaws:
    """As ``History.flaws``. Raises what the library raises."""
    incomplete = [number for (number,) in _ask(connection, INCOMPLETE, head.revision, limit)]
    unlogged = _ask(connection, UNLOGGED, head.revision, limit)
    return Flaws(incomplete, [(Key(kind, name), number) for kind, name, number in unlogged])


def begin_state(connection: Connection, head: Head, revision: int) -> tuple[Head, sqlite3.Cursor]:
    """The head of that time, and every record as it was. Raises what the library raises, and RevisionUnknown."""
    commit, checksum = _commit(connection, revision)
    point = Point(head.point.store_id, revision, commit.commit_id)
    return replace(head, point=point, checksum=checksum), _ask(connection, STATE_AT, revision)


def _commit(connection: Connection, number: int) -> tuple[Revision, int]:
    """A commit and its checksum."""
    row = _ask(connection, REVISION, number).fetchone()
    if row is None:
        raise RevisionUnknown(number)
    return _revision(*row[:5]), read_checksum(row[5])


def _ask(connection: Connection, query: str, *parameters: str | int) -> sqlite3.Cursor:
    """Run a query whose parameters are called ``$1``, ``$2``, ..."""
    return connection.sql.execute(query, {str(number): value for number, value in enumerate(parameters, 1)})


def _rows(cursor: sqlite3.Cursor, row_of: Callable[..., Row]) -> list[Row]:
    """All that a query answers, giving way to the event loop."""
    rows: list[Row] = []
    while chunk := cursor.fetchmany(CHUNK_ROWS):
        rows += [row_of(*row) for row in chunk]
        time.sleep(PAUSE_SECONDS)
    return rows


def _revision(revision: int, commit_id: str, created_at: str, *rest: Any) -> Revision:
    return Revision(revision, commit_id, datetime.fromisoformat(created_at), *rest)


def _instant(instant: datetime) -> str:
    """What ``created_at`` without its Z can be compared with, in milliseconds or, restored from PostgreSQL, finer."""
    text = instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return text.rstrip("0").rstrip(".")

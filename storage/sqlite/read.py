"""What is read from an SQLite file, each in one transaction."""

import sqlite3
import time
from collections.abc import Collection, Generator, Sequence
from typing import TypeVar

import msgspec

from sampling.records import Change, Key, Stored
from storage.checksum import read_checksum
from storage.errors import StoreUnavailable
from storage.interface import Head, News, Point
from storage.pacing import SLICE_SECONDS
from storage.rows import CHUNK_ROWS, change_of, row_name, stored_by_key
from storage.sqlite.connection import Connection

_HEAD = """
SELECT store.store_id, head.revision, head.commit_id, head.checksum,
    (SELECT served.commit_id FROM revisions AS served WHERE served.revision = ?),
    (SELECT json_group_array(accepted_stores.store_id) FROM accepted_stores)
FROM store JOIN revisions AS head ON head.revision = store.revision
"""

_CHANGED_SINCE = """
WITH changed AS MATERIALIZED (SELECT DISTINCT kind, key FROM changes WHERE revision > ?)
SELECT kind, key, service.revision, service.commit_id, service.record
FROM changed LEFT JOIN tracing_configurations AS service ON service.service_name = key
WHERE kind = 'service'
UNION ALL
SELECT kind, key, policy.revision, policy.commit_id, policy.record
FROM changed LEFT JOIN sampling_policies AS policy
    ON policy.name = CASE kind WHEN 'boost' THEN 'boost:' || key ELSE key END
WHERE kind <> 'service'
"""

_CURRENT = """
SELECT 'service', service_name, revision, commit_id, record
FROM json_each(?) AS wanted JOIN tracing_configurations ON service_name = wanted.value
UNION ALL
SELECT 'policy', name, revision, commit_id, record
FROM json_each(?) AS wanted JOIN sampling_policies ON name = wanted.value
"""

PAUSE_SECONDS = 0.00005
"""Long enough for the event loop's thread to take the interpreter lock, which a pause of 0 is not."""

Result = TypeVar("Result")


def read_head(connection: Connection, served: int | None = None) -> Head:
    """The newest commit. Raises what the library raises, StoreUnavailable and StoreUnusable."""
    connection.check_in_place()
    row = connection.sql.execute(_HEAD, (served,)).fetchone()
    if row is None:
        raise StoreUnavailable(f"{connection.path}: the tables have no head; a restore in progress looks so")
    store_id, revision, commit_id, checksum, commit_at_served, accepted = row
    point = Point(store_id, revision, commit_id)
    return Head(
        point,
        read_checksum(checksum),
        clock=time.time(),
        commit_at_served=commit_at_served,
        accepted=tuple(msgspec.json.decode(accepted)),
    )


def read_changes(connection: Connection, revision: int) -> News:
    """The last state of each key that changed after the revision."""
    connection.sql.execute("BEGIN")
    try:
        head = read_head(connection)
        cursor = connection.sql.execute(_CHANGED_SINCE, (revision,))
        changes: list[Change] = []
        while chunk := read_chunk(cursor):
            changes += chunk
            time.sleep(PAUSE_SECONDS)
    finally:
        connection.roll_back()
    return News(head, changes)


def begin_snapshot(reader: Connection, connection: Connection) -> Head:
    """Open another connection to the reader's file, in a transaction that lasts as long as it is open."""
    reader.check_in_place()  # First, because a missing file would be made.
    connection.open()
    connection.allow_interrupt()
    connection.sql.execute("BEGIN")
    return read_head(connection)


def read_chunk(cursor: sqlite3.Cursor) -> Sequence[Change]:
    """The next records; none at the end."""
    return [change_of(*row) for row in cursor.fetchmany(CHUNK_ROWS)]


def read_current(connection: Connection, keys: Collection[Key]) -> dict[Key, Stored]:
    """The records of these keys, where there are any; within the caller's transaction."""
    services = msgspec.json.encode([key.name for key in keys if key.kind == "service"]).decode()
    policies = msgspec.json.encode([row_name(key) for key in keys if key.kind != "service"]).decode()
    return paced_in_thread(stored_by_key(connection.sql.execute(_CURRENT, (services, policies))))


def paced_in_thread(work: Generator[None, None, Result]) -> Result:
    """As ``storage.pacing.paced``, for a thread beside the event loop's."""
    slice_end = time.perf_counter() + SLICE_SECONDS
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result
        if time.perf_counter() >= slice_end:
            time.sleep(PAUSE_SECONDS)
            slice_end = time.perf_counter() + SLICE_SECONDS

"""One transaction that commits a batch to an SQLite file."""

import time
from datetime import UTC, datetime

from storage.commit import Batch
from storage.errors import StoreUnavailable
from storage.rows import row_name
from storage.sqlite.connection import BUSY_SECONDS, Connection
from storage.sqlite.history import read_differences
from storage.sqlite.read import paced_in_thread, read_current, read_head

BATCH_BUSY_SECONDS = 10.0
"""How long a batch of several writes waits for another process's."""

_LOG = "INSERT INTO changes (revision, position, kind, key, before, after) VALUES (?, ?, ?, ?, ?, ?)"
_REVISION = "INSERT INTO revisions (revision, commit_id, created_at, actor, reason, checksum) VALUES (?, ?, ?, ?, ?, ?)"
_DELETE_SERVICE = "DELETE FROM tracing_configurations WHERE service_name = ?"
_DELETE_POLICY = "DELETE FROM sampling_policies WHERE name = ?"
_PUT_SERVICE = """
INSERT INTO tracing_configurations (service_name, record, revision, commit_id, created_at, updated_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?5)
ON CONFLICT (service_name) DO UPDATE
SET (record, revision, commit_id, updated_at) = (excluded.record, excluded.revision, excluded.commit_id, ?5)
"""
_PUT_POLICY = """
INSERT INTO sampling_policies (name, record, revision, commit_id, created_at, updated_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?5)
ON CONFLICT (name) DO UPDATE
SET (record, revision, commit_id, updated_at) = (excluded.record, excluded.revision, excluded.commit_id, ?5)
"""


class Attempt:
    """A commit that may take until ``deadline`` (of ``time.monotonic``).

    ``in_doubt`` is set before the deadline is looked at for the last time. So whoever gives up after the deadline, and
    finds it unset, knows that nothing will be committed.
    """

    def __init__(self, batch: Batch, deadline: float) -> None:
        self.batch, self.deadline = batch, deadline
        self.in_doubt = False

    def run(self, connection: Connection) -> None:
        """Commit, or leave everything as it was.

        Raises what the library raises, what ``Batch.plan`` does, StoreUnavailable and StoreUnusable.
        """
        busy_seconds = BUSY_SECONDS if self.batch.is_single else BATCH_BUSY_SECONDS
        connection.sql.execute(f"PRAGMA busy_timeout = {busy_seconds * 1000:.0f}")
        connection.sql.execute("BEGIN IMMEDIATE")
        try:
            since = self.batch.terms.undo_since
            head = read_head(connection, None if since is None else since.revision)
            if (point := self.batch.overtaken(head)) is not None:
                paced_in_thread(self.batch.undo(read_differences(connection, head.point, point.revision, None).records))
            current = read_current(connection, self.batch.written | self.batch.terms.expected.keys())
            paced_in_thread(self.batch.plan(head, current))
            if self.batch.is_revision:
                self._write(connection)
                self.in_doubt = True
                if time.monotonic() > self.deadline:
                    raise StoreUnavailable(f"{connection.path}: the commit took too long")
                connection.sql.execute("COMMIT")
        finally:
            connection.roll_back()

    def _write(self, connection: Connection) -> None:
        rows, point = self.batch.rows, self.batch.head.point
        now = datetime.fromtimestamp(self.batch.head.clock, UTC).isoformat(timespec="milliseconds")
        now = now.replace("+00:00", "Z")
        commit = (point.revision, point.commit_id, now)
        deleted = [row.key for row in rows if row.after is None]
        put = [row for row in rows if row.after is not None]
        sql = connection.sql
        sql.execute(_REVISION, (*commit, self.batch.terms.actor, self.batch.terms.reason, f"{self.batch.head.checksum:016x}"))
        sql.executemany(
            _LOG,
            (
                (point.revision, position, row.key.kind, row.key.name, _text(row.before), _text(row.after))
                for position, row in enumerate(rows)
            ),
        )
        sql.executemany(_DELETE_SERVICE, ((key.name,) for key in deleted if key.kind == "service"))
        sql.executemany(_DELETE_POLICY, ((row_name(key),) for key in deleted if key.kind != "service"))
        sql.executemany(_PUT_SERVICE, ((row.key.name, _text(row.after), *commit) for row in put if row.key.kind == "service"))
        sql.executemany(
            _PUT_POLICY, ((row_name(row.key), _text(row.after), *commit) for row in put if row.key.kind != "service")
        )
        sql.execute("UPDATE store SET revision = ?", (point.revision,))


def accept(connection: Connection, store_id: str) -> None:
    """As ``Store.accept``."""
    connection.check_in_place()
    connection.sql.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")
    connection.sql.execute("INSERT INTO accepted_stores (store_id) VALUES (?) ON CONFLICT DO NOTHING", (store_id,))


def _text(body: bytes | None) -> str | None:
    return body.decode() if body is not None else None

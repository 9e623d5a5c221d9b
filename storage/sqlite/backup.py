"""An SQLite file as a whole, for backups. Calls block: it is for programs that do nothing else meanwhile."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from storage.backup import (
    ACCEPT,
    FORGET_ALL_NOTES,
    FORGET_NOTES,
    NOTE,
    RESTORED,
    SET_POINT,
    TABLES,
    TARGET,
    Agreed,
    Backup,
    Dump,
    Manifest,
    Row,
    Table,
    Target,
    check_noted,
    check_restored,
    check_schema,
)
from storage.errors import StoreUnusable
from storage.interface import Head, Point
from storage.migrate import migrations, pending
from storage.rows import CHUNK_ROWS
from storage.sqlite.connection import Connection, translated
from storage.sqlite.migrate import applied, run
from storage.sqlite.read import read_head

BUSY_SECONDS = 10.0
"""How long a restore waits for another process's commit."""


class SqliteDatabase:
    """A ``storage.backup.Database``. A restore makes the file where it is missing; nothing else does."""

    name = "SQLite"

    def __init__(self, path: Path) -> None:
        self.address = f"sqlite://{path.absolute()}"
        self._path = path.absolute()

    @asynccontextmanager
    async def dump(self) -> AsyncIterator[Dump]:
        connection = Connection(self._path)
        try:
            with translated(self._path):
                if not self._path.exists():
                    raise StoreUnusable(f"{self._path}: there is no store; is this the right folder?")
                connection.open()
                connection.sql.execute("BEGIN")
                try:
                    check_schema("sqlite", applied(connection.sql))
                except StoreUnusable as error:
                    raise StoreUnusable(f"{self._path}: {error}") from None
                rows = {table.name: connection.sql.execute(table.count).fetchone()[0] for table in TABLES}
                head = read_head(connection)
            yield _Dump(connection, head, rows)
        finally:
            connection.close()

    async def target(self, revision: int) -> Target | None:
        with translated(self._path):
            if not self._path.exists():
                return None
            with self._connected() as connection:
                connection.sql.execute("BEGIN")
                if not (known := applied(connection.sql)):
                    return None
                check_schema("sqlite", known, older=True)
                return _target(connection, revision)

    async def note(self, manifest: Manifest, place: str, size: int) -> None:
        with translated(self._path), ExitStack() as stack:
            if not self._path.exists():  # It would be made.
                raise StoreUnusable(f"{self._path}: there is no store any more")
            connection = stack.enter_context(self._connected())
            sql = connection.sql
            sql.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")
            sql.execute("BEGIN IMMEDIATE")
            _note(sql, manifest, place, size)
            sql.execute(FORGET_NOTES)
            connection.check_in_place()
            sql.execute("COMMIT")

    async def restore(self, backup: Backup, agreed: Agreed, restored: Callable[[int], object]) -> None:
        manifest = backup.manifest
        with translated(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._connected() as connection:
                sql = connection.sql
                sql.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")
                sql.execute("BEGIN IMMEDIATE")
                known = applied(sql)
                check_schema("sqlite", known, older=True)
                before = _target(connection, manifest.revision) if known else None
                agreed(before)
                for migration in pending(migrations("sqlite"), known, create=True):
                    run(sql, migration)
                accepted = sql.execute("SELECT store_id FROM accepted_stores").fetchall()
                for table in TABLES:
                    sql.execute(table.delete)
                for table, rows in backup:
                    sql.executemany(_insert(table), (_to_sql(row) for row in rows))
                    restored(len(rows))
                    await asyncio.sleep(0)
                if before is not None and before.point.store_id != manifest.store_id:
                    accepted.append((before.point.store_id,))
                sql.executemany(ACCEPT, ({"1": store_id} for (store_id,) in accepted))
                sql.execute(SET_POINT, {"1": manifest.store_id, "2": manifest.revision})
                sql.execute(FORGET_ALL_NOTES)
                _note(sql, manifest, RESTORED, None)
                check_restored(_target(connection, manifest.revision), manifest)
                connection.check_in_place()
                sql.execute("COMMIT")

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A connection, which takes back at its end what was not committed."""
        connection = Connection(self._path)
        connection.open()
        try:
            yield connection
        finally:
            connection.close()


class _Dump:
    """A ``storage.backup.Dump`` over an open read transaction."""

    def __init__(self, connection: Connection, head: Head, rows: Mapping[str, int]) -> None:
        self.head, self.rows = head, rows
        self._connection = connection

    async def __aiter__(self) -> AsyncIterator[tuple[Table, Sequence[Row]]]:
        for table in TABLES:
            instants = [index for index, column in enumerate(table.columns) if column.endswith("_at")]
            with translated(self._connection.path):
                cursor = self._connection.sql.execute(table.select)
                while rows := cursor.fetchmany(CHUNK_ROWS):
                    yield table, [_from_sql(row, instants) for row in rows]
                    await asyncio.sleep(0)  # Here Ctrl-C is heard.


def _target(connection: Connection, revision: int) -> Target | None:
    row = connection.sql.execute(TARGET, {"1": revision}).fetchone()
    return Target(Point(*row[:3]), row[3]) if row else None


def _note(sql: sqlite3.Connection, manifest: Manifest, place: str, size: int | None) -> None:
    values = (_text(manifest.created_at), place, manifest.revision, size, manifest.store_id)
    check_noted(sql.execute(NOTE, {str(number): value for number, value in enumerate(values, 1)}).fetchall())


def _insert(table: Table) -> str:
    return f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({', '.join('?' * len(table.columns))})"  # noqa: S608


def _from_sql(row: Row, instants: Sequence[int]) -> Row:
    fields = list(row)
    for index in instants:
        fields[index] = _instant(fields[index])
    return tuple(fields)


def _instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise StoreUnusable(f"a row has the instant {text!r}, which is none; correct it") from None


def _to_sql(row: Row) -> Row:
    return tuple(_text(field) if isinstance(field, datetime) else field for field in row)


def _text(instant: datetime) -> str:
    """As commits write it, in milliseconds; finer where it is finer, which PostgreSQL's are."""
    precision = "microseconds" if instant.microsecond % 1000 else "milliseconds"
    return instant.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")

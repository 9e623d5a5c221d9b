"""Brings an SQLite file up to date."""

import sqlite3
from collections.abc import Iterator, Sequence

from storage.migrate import Applied, Migration, pending
from storage.sqlite.connection import Connection


def migrate(connection: Connection, known: Sequence[Migration], *, create: bool = True) -> None:
    """Run the migrations that the file still needs, each in a transaction with its row in ``schema_migrations``.

    Raises what the library raises, and:
        StoreUnusable: the file is empty and may not be filled, or needs a newer program.
    """
    sql = connection.sql
    while pending(known, applied(sql), create=create):
        sql.execute("BEGIN IMMEDIATE")
        try:
            for migration in pending(known, applied(sql), create=create)[:1]:
                run(sql, migration)
            sql.execute("COMMIT")
        finally:
            connection.roll_back()


def run(sql: sqlite3.Connection, migration: Migration) -> None:
    """Run one migration, within the caller's transaction. Raises what the library raises."""
    for statement in _statements(migration.sql):
        sql.execute(statement)
    sql.execute(
        "INSERT INTO schema_migrations (number, name, checksum, oldest_program) VALUES (?, ?, ?, ?)",
        (migration.number, migration.name, migration.checksum, migration.oldest_program),
    )


def applied(sql: sqlite3.Connection) -> Sequence[Applied]:
    """What was run on the file; nothing where there is no store. Raises what the library raises."""
    if not sql.execute("SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations'").fetchone():
        return []
    rows = sql.execute("SELECT number, checksum, oldest_program FROM schema_migrations ORDER BY number")
    return [Applied(*row) for row in rows]


def _statements(script: str) -> Iterator[str]:
    """The library runs whole scripts outside of transactions only."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement

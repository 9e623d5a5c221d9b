"""A look at an SQLite file."""

import os
import sqlite3
from pathlib import Path

from storage.condition import Condition, read_schema
from storage.errors import StoreUnusable
from storage.sqlite.connection import Connection, translated
from storage.sqlite.migrate import applied
from storage.sqlite.read import read_head


def look(path: Path) -> Condition:
    """See how the file is, also one that a server has open. Makes and changes nothing. It blocks.

    Raises:
        StoreUnavailable, StoreUnusable: it is not there, cannot be read, or this program cannot work on it.
    """
    path = path.absolute()
    with translated(path):
        if not path.exists():
            raise StoreUnusable(f"{path}: there is no such file; `tracing-config serve` makes it, or name another data folder")
        connection = Connection(path)
        connection.open_to_look()
        try:
            connection.sql.execute("BEGIN")
            known = applied(connection.sql)
            schema = read_schema("sqlite", known)
            point = read_head(connection).point if known else None
        finally:
            connection.close()
    read_only = None
    for place in (path, path.parent):
        if not os.access(place, os.W_OK):
            read_only = f"this user may not write {place}"
    return Condition(version=sqlite3.sqlite_version, schema=schema, point=point, read_only=read_only)

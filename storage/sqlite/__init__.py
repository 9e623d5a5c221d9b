"""The store in an SQLite file."""

from storage.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]

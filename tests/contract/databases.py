"""What the contract of the stores is tested on, and how a test looks behind a store's back."""

import sqlite3
from abc import ABC, abstractmethod
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg

import storage.backup
import storage.postgres.backup
import storage.sqlite.backup
from storage.history import LoggedStore
from storage.postgres import PostgresStore
from storage.sqlite import SqliteStore


class Database(ABC):
    """An empty database of one product."""

    @abstractmethod
    def new_store(self) -> LoggedStore:
        """A store on it that is not open yet."""

    @abstractmethod
    def whole(self) -> storage.backup.Database:
        """It as backups see it."""

    @abstractmethod
    async def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement through the driver."""


class SqliteDatabase(Database):
    def __init__(self, path: Path) -> None:
        self.path = path

    def new_store(self) -> SqliteStore:
        return SqliteStore(self.path)

    def whole(self) -> storage.sqlite.backup.SqliteDatabase:
        return storage.sqlite.backup.SqliteDatabase(self.path)

    async def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(sql).fetchall()


class PostgresDatabase(Database):
    def __init__(self, url: str) -> None:
        self.url = url

    def new_store(self) -> PostgresStore:
        return PostgresStore(self.url)

    def whole(self) -> storage.postgres.backup.PostgresDatabase:
        return storage.postgres.backup.PostgresDatabase(self.url)

    async def ask(self, sql: str) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(self.url, timeout=10, command_timeout=30)
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

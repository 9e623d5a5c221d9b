"""Records that are there before a server starts: what its API does not write, such as those of an owner."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from storage.interface import Terms, Write
from storage.sqlite.store import SqliteStore

FILE = "tracing-config.db"
"""The name of the SQLite file in a data folder."""


def seed(folder: Path, writes: Sequence[Write]) -> None:
    """Commit records to the SQLite file of a data folder."""

    async def commit() -> None:
        store = SqliteStore(folder / FILE)
        await store.open()
        try:
            await store.commit(writes, Terms(actor="seed"))
        finally:
            await store.close()

    asyncio.run(commit())


def edit(folder: Path, statement: str, *values: str) -> None:
    """Change the tables of a data folder behind the program's back."""
    with closing(sqlite3.connect(folder / FILE)) as database, database:
        assert database.execute(statement, values).rowcount == 1

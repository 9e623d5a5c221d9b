"""The store in an SQLite file."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from sampling.records import Change
from storage.commit import BEFORE_DOUBT, SINGLE_SECONDS, Batch
from storage.errors import OutcomeUnknown, StoreUnavailable
from storage.figures import Figures
from storage.history import Differences, Flaws, LoggedChange, Revision, Wanted
from storage.interface import Committed, Head, Load, News, Terms, Write
from storage.migrate import migrations
from storage.pacing import paced
from storage.rows import EVERYTHING, RowsLoad
from storage.sqlite.connection import Connection, translated
from storage.sqlite.figures import read_figures
from storage.sqlite.history import begin_state, read_differences, read_flaws, read_logged, read_revision
from storage.sqlite.migrate import migrate
from storage.sqlite.read import begin_snapshot, read_changes, read_chunk, read_head
from storage.sqlite.write import Attempt, accept

READ_SECONDS = 2.0
"""For the head, and for each chunk of a load."""

CHANGES_SECONDS = 10.0

HISTORY_SECONDS = 10.0
"""For a question to the log, and for each chunk of a long answer."""

OPEN_SECONDS = 60.0
"""For the migrations, and for waiting until another process has run them."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class SqliteStore:
    """A ``storage.history.LoggedStore`` in one file, whose folder is made where it is missing.

    One thread and connection writes, another reads. A full load has a connection of its own, and so has every question to the
    log, asked in a third thread: they delay neither.
    """

    name = "SQLite"
    pool = None
    """Its one connection that commits is opened once."""

    def __init__(self, path: Path) -> None:
        self.address = f"sqlite://{path.absolute()}"
        self._path = path.absolute()
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="sqlite-write")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="sqlite-read")
        self._asked = ThreadPoolExecutor(1, thread_name_prefix="sqlite-history")
        self._writer = Connection(self._path)
        self._reader = Connection(self._path)
        self._news = asyncio.Event()
        self._alone: set[str] = set()

    async def open(self, *, create: bool = True) -> None:
        if self._reader.is_open:
            # Another file may still be in the making, or stand beside this one's write-ahead log.
            await self._run(self._reading, READ_SECONDS, self._reader.check_in_place)
        await self._run(self._writing, OPEN_SECONDS, self._open_writer, create=create)
        await self._run(self._reading, OPEN_SECONDS, self._reader.open)

    async def close(self) -> None:
        await self._run(self._writing, OPEN_SECONDS, self._writer.close)
        await self._run(self._reading, OPEN_SECONDS, self._reader.close)

    async def head(self, served: int | None = None) -> Head:
        return await self._run(self._reading, READ_SECONDS, read_head, self._reader, served)

    async def changes_since(self, revision: int) -> News:
        return await self._run(self._reading, CHANGES_SECONDS, read_changes, self._reader, revision)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Load]:
        async with self._snapshot() as (connection, head):
            cursor = await self._run(self._reading, READ_SECONDS, connection.sql.execute, EVERYTHING)
            yield RowsLoad(head, self._chunks(self._reading, READ_SECONDS, cursor))

    async def commit(self, writes: Sequence[Write], terms: Terms) -> Committed:
        batch = Batch(writes, terms)
        await paced(batch.check())
        attempt = Attempt(batch, time.monotonic() + batch.seconds * BEFORE_DOUBT)
        try:
            await self._run(self._writing, batch.seconds, attempt.run, self._writer)
        except StoreUnavailable as error:
            if attempt.in_doubt and isinstance(error.__cause__, TimeoutError):
                raise OutcomeUnknown(batch.commit_id) from error
            raise
        if batch.is_revision:
            self._news.set()
        return Committed(batch.head, batch.changes)

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[bool]:
        """Among all who use this object: one process works on a file."""
        if name in self._alone:
            yield False
            return
        self._alone.add(name)
        try:
            yield True
        finally:
            self._alone.discard(name)

    async def accept(self, store_id: str) -> None:
        await self._run(self._writing, SINGLE_SECONDS, accept, self._writer, store_id)
        self._news.set()

    async def logged(self, wanted: Wanted, limit: int) -> Sequence[LoggedChange]:
        async with self._asking() as (connection, _):
            return await self._run(self._asked, HISTORY_SECONDS, read_logged, connection, wanted, limit)

    async def revision(self, number: int) -> Revision:
        async with self._asking() as (connection, _):
            return await self._run(self._asked, HISTORY_SECONDS, read_revision, connection, number)

    async def differences(self, before: int, after: int | None) -> Differences:
        async with self._asking() as (connection, head):
            return await self._run(self._asked, HISTORY_SECONDS, read_differences, connection, head.point, before, after)

    async def flaws(self, limit: int) -> Flaws:
        async with self._asking() as (connection, head):
            return await self._run(self._asked, HISTORY_SECONDS, read_flaws, connection, head.point, limit)

    async def figures(self) -> Figures:
        async with self._asking() as (connection, head):
            return await self._run(self._asked, HISTORY_SECONDS, read_figures, connection, head)

    @asynccontextmanager
    async def state_at(self, revision: int) -> AsyncIterator[Load]:
        async with self._snapshot() as (connection, now):
            head, cursor = await self._run(self._asked, HISTORY_SECONDS, begin_state, connection, now, revision)
            yield RowsLoad(head, self._chunks(self._asked, HISTORY_SECONDS, cursor))

    async def wait_for_news(self, seconds: float) -> None:
        """Only commits of this object are heard of; those of other processes are seen by ``head``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[tuple[Connection, Head]]:
        """A snapshot, for a question that is answered at once."""
        with translated(self._path):
            async with asyncio.timeout(HISTORY_SECONDS), self._snapshot() as snapshot:
                yield snapshot

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[tuple[Connection, Head]]:
        """A connection of its own in a read transaction, and its head."""
        connection = Connection(self._path)
        try:
            head = await self._run(self._reading, READ_SECONDS, begin_snapshot, self._reader, connection)
            yield connection, head
        finally:
            connection.interrupt()
            # Whatever thread still uses it: after that.
            self._reading.submit(self._asked.submit, connection.close)

    async def _chunks(self, thread: Executor, seconds: float, cursor: sqlite3.Cursor) -> AsyncIterator[Sequence[Change]]:
        while chunk := await self._run(thread, seconds, read_chunk, cursor):
            yield chunk

    def _open_writer(self, *, create: bool) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._writer.open()
        try:
            migrate(self._writer, migrations("sqlite"), create=create)
        except BaseException:
            self._writer.close()
            raise

    async def _run(
        self,
        thread: Executor,
        seconds: float,
        function: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Run a function in a thread. One that has not begun when time is up, or the caller is cancelled, never will."""
        with translated(self._path):
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(thread.submit(function, *args, **kwargs))

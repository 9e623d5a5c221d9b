"""What is special about the store in an SQLite file."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from sampling.records import Key
from storage.errors import StoreUnavailable, StoreUnusable
from storage.sqlite import SqliteStore
from storage.sqlite.condition import look
from storage.sqlite.connection import Connection
from tests.contract.writes import bodies, commit, service

COMMIT_AND_WAIT = """
import asyncio, sys
from pathlib import Path
from storage.sqlite import SqliteStore
from tests.contract.writes import commit, service

async def main() -> None:
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    await commit(store, service("kept"))
    print("committed", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "not" / "there" / "tracing-config.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    """An open store."""
    store = SqliteStore(path)
    await store.open()
    yield store
    await store.close()


async def refusal(path: Path) -> str:
    """Why a store cannot be opened here."""
    store = SqliteStore(path)
    with pytest.raises(StoreUnusable) as caught:
        await store.open()
    await store.close()
    assert str(path) in str(caught.value)
    return str(caught.value)


def start_process(path: Path) -> "subprocess.Popen[str]":
    """A process that has committed to the file and has not ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMIT_AND_WAIT, str(path)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "committed\n"
    return process


def damage(path: Path) -> None:
    """Overwrite all but the first page."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))


async def test_making_a_store_touches_nothing(path: Path) -> None:
    store = SqliteStore(path)
    assert (store.name, store.address) == ("SQLite", f"sqlite://{path}")
    assert not path.parent.exists()


async def test_the_writing_connection_waits_for_the_disk(store: SqliteStore) -> None:
    (synchronous,) = store._writer.sql.execute("PRAGMA synchronous").fetchone()
    (mode,) = store._writer.sql.execute("PRAGMA journal_mode").fetchone()
    assert (synchronous, mode) == (2, "wal")


async def test_what_was_committed_is_there_after_a_kill(path: Path) -> None:
    with start_process(path) as process:
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    store = SqliteStore(path)
    await store.open()
    assert (await bodies(store))[Key("service", "kept")] == service("kept").body
    await store.close()


async def test_the_commit_of_another_process_is_seen_and_a_store_may_be_open_twice(store: SqliteStore, path: Path) -> None:
    with start_process(path) as process:
        assert (await store.head()).point.revision == 1
        await commit(store, service("ours"))
        process.kill()
    assert (await store.head()).point.revision == 2


async def test_a_write_that_another_process_holds_up_fails_in_time_and_works_afterwards(store: SqliteStore, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        start = asyncio.get_running_loop().time()
        with pytest.raises(StoreUnavailable, match="another process is writing"):
            await commit(store, service("a"))
        assert asyncio.get_running_loop().time() - start < 2
        assert (await store.head()).point.revision == 0
        other.execute("ROLLBACK")
    await commit(store, service("a"))


async def test_a_commit_that_waits_its_turn_too_long_is_never_made(store: SqliteStore, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        outcomes = await asyncio.wait_for(
            asyncio.gather(*(commit(store, service(f"s{number}")) for number in range(5)), return_exceptions=True), 2.5
        )
        assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
        other.execute("ROLLBACK")
    await commit(store, service("last"))
    assert (await store.head()).point.revision == 1


async def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "tracing-config.db"
    path.write_bytes(b"no database at all" * 100)
    assert "move it away" in await refusal(path)
    assert path.read_bytes() == b"no database at all" * 100


async def test_a_damaged_file_is_refused(store: SqliteStore, path: Path) -> None:
    await commit(store, *(service(f"s{number}") for number in range(200)))
    await store.close()
    damage(path)
    assert "restore a backup" in await refusal(path)


async def test_a_folder_that_cannot_be_made_or_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "choose another data folder" in await refusal(tmp_path / "file" / "tracing-config.db")
    (tmp_path / "folder").mkdir()
    assert "choose another data folder" in await refusal(tmp_path / "folder")


async def test_a_folder_in_which_nobody_can_write_is_refused() -> None:
    assert "choose another data folder" in await refusal(Path("/proc/self/tracing-config.db"))
    assert "choose another data folder" in await refusal(Path("/proc/deeper/tracing-config.db"))


async def test_a_store_that_could_not_be_opened_may_be_opened_later(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "tracing-config.db"
    store = SqliteStore(path)
    with pytest.raises(StoreUnusable):
        await store.open()
    with pytest.raises(StoreUnavailable):
        await store.head()
    (tmp_path / "file").unlink()
    await store.open()
    await commit(store, service("a"))
    await store.close()


def remove(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.touch()


@pytest.mark.parametrize("change", [remove, replace])
async def test_nothing_is_written_to_a_file_that_was_removed_or_replaced(
    store: SqliteStore, path: Path, change: Callable[[Path], None]
) -> None:
    change(path)
    before = sorted(path.parent.iterdir())
    for refused in (store.head(), commit(store, service("a")), bodies(store), store.accept("0" * 32), store.open(create=False)):
        with pytest.raises(StoreUnusable, match="restart the server"):
            await refused
    assert sorted(path.parent.iterdir()) == before
    await store.close()
    await store.open()
    await commit(store, service("a"))


async def test_a_backup_restored_into_the_open_file_is_followed(store: SqliteStore, path: Path) -> None:
    first = await commit(store, service("a"))
    backup = path.with_name("backup")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)
    lost = await commit(store, service("b"))
    with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)
    head = await store.head(lost.head.point.revision)
    assert (head.point, head.commit_at_served) == (first.head.point, None)
    again = await commit(store, service("b"))
    assert again.head.point.revision == lost.head.point.revision
    assert again.head.point != lost.head.point


def test_an_interrupt_that_comes_between_two_statements_ends_the_later_one(tmp_path: Path) -> None:
    connection = Connection(tmp_path / "tracing-config.db")
    connection.open()
    connection.allow_interrupt()
    connection.sql.execute("SELECT 1").fetchone()
    connection.interrupt()
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        connection.sql.execute(
            "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 1000000) SELECT max(x) FROM n"
        ).fetchone()
    connection.close()


async def test_a_look_from_elsewhere_at_an_open_store_tells_its_point_and_changes_nothing(
    store: SqliteStore, path: Path
) -> None:
    point = (await commit(store, service("kept"))).head.point
    files = {file: file.read_bytes() for file in path.parent.iterdir() if not file.name.endswith("-shm")}
    condition = await asyncio.to_thread(look, path)
    assert (condition.point, condition.read_only) == (point, None)
    assert {file: file.read_bytes() for file in files} == files

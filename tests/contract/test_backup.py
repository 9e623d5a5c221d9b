"""What every database promises to whoever makes a backup or restores one, also from and into the other product."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from storage.backup import Database, Target, only_over
from storage.backup_check import verify
from storage.backup_file import open_backup
from storage.errors import BackupInvalid, HeadMoved, StoreUnusable
from storage.history import LoggedStore, Wanted
from storage.interface import Head, Point, Terms
from storage.migrate import migrations
from storage.sqlite.backup import SqliteDatabase
from tests.contract import databases
from tests.contract.backups import Interrupted, back_up, ignore, interrupted, restore, rows_of
from tests.contract.conftest import OpenStore
from tests.contract.writes import boost, commit, deletion, everything, policy, service

ELSE = "0" * 32
"""The id of another store."""


@pytest.fixture
def whole(database: databases.Database) -> Database:
    return database.whole()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "backup"


@pytest.fixture(params=["into sqlite", "into postgres"])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> databases.Database:
    """Another empty database."""
    if request.param == "into sqlite":
        return databases.SqliteDatabase(tmp_path / "other" / "tracing-config.db")
    return databases.PostgresDatabase(request.getfixturevalue("postgres_url"))


async def fill(store: LoggedStore) -> Point:
    """Some of everything that a store can hold."""
    await commit(store, service("a"), service('ü "é" 🦉\\'), policy("p"), boost("a"))
    await commit(store, service("a", 0.25), deletion(policy("p")), service("b", managed_by="team"))
    await store.accept(ELSE)
    await store.commit([], Terms(actor="me", reason="an entry", entry=True))
    return (await commit(store, *(service(f"s{number}") for number in range(600)))).head.point


async def test_a_backup_is_restored_row_by_row_equal(
    store: LoggedStore, whole: Database, other: databases.Database, file: Path
) -> None:
    point = await fill(store)
    manifest = await back_up(whole, file)
    assert (manifest.point, manifest.store, manifest.schema) == (point, whole.name, len(migrations("postgres")))
    assert manifest.rows["tracing_configurations"] == 603
    await restore(other.whole(), file)
    assert await rows_of(other.whole()) == await rows_of(whole)
    again = other.new_store()
    await again.open()
    try:
        head = await again.head()
        assert (head.point, head.accepted) == (point, (ELSE,))
        assert await everything(again) == await everything(store)
        changes = await store.logged(Wanted(), 1000)
        assert await again.logged(Wanted(), 1000) == changes
        for at in {change.revision.at for change in changes}:
            for bound in (at - timedelta(microseconds=1), at, at + timedelta(microseconds=1)):
                for wanted in (Wanted(since=bound), Wanted(until=bound)):
                    expected = [change for change in changes if (change.revision.at >= bound) == (wanted.since is not None)]
                    assert await again.logged(wanted, 1000) == expected
        committed = await commit(again, service("c"))
        assert (committed.head.point.store_id, committed.head.point.revision) == (point.store_id, point.revision + 1)
    finally:
        await again.close()


async def test_two_backups_of_one_moment_hold_the_same_on_either_product(
    store: LoggedStore, whole: Database, other: databases.Database, file: Path
) -> None:
    await fill(store)
    await back_up(whole, file)
    await restore(other.whole(), file)
    second = file.with_name("second")
    await back_up(other.whole(), second)
    with open_backup(file) as one, open_backup(second) as two:
        assert list(one) == list(two)


async def test_a_backup_beside_writers_is_of_one_moment(store: LoggedStore, whole: Database, file: Path) -> None:
    """``back_up`` holds every revision against its checksum."""
    await commit(store, *(service(f"s{number}") for number in range(2000)))

    async def write(number: int) -> None:
        for rate in range(20):
            await commit(store, service(f"s{number}", rate / 20), service(f"new {number} {rate}"))

    async with asyncio.TaskGroup() as tasks:
        for number in range(3):
            tasks.create_task(write(number))
        manifests = [await back_up(whole, file.with_name(f"{number}")) for number in range(4)]
    assert len({manifest.revision for manifest in manifests}) > 1
    for number in range(4):
        with open_backup(file.with_name(f"{number}")) as backup:
            scratch = SqliteDatabase(file.with_name(f"scratch-{number}"))
            await verify(backup, scratch, restored=ignore, compared=ignore)


@pytest.mark.parametrize("table", ["revisions", "changes", "sampling_policies"])
async def test_a_restore_that_breaks_off_leaves_everything_as_it_was(
    store: LoggedStore, whole: Database, file: Path, table: str
) -> None:
    await fill(store)
    await back_up(whole, file)
    point = (await commit(store, service("later"))).head.point
    before = await rows_of(whole)
    with interrupted(file, table) as backup, pytest.raises(Interrupted):
        await whole.restore(backup, only_over(point), ignore)
    assert await rows_of(whole) == before
    assert (await store.head()).point == point
    assert (await commit(store, service("more"))).head.point.revision == point.revision + 1


async def test_a_restore_into_nothing_that_breaks_off_leaves_nothing(
    store: LoggedStore, whole: Database, other: databases.Database, file: Path
) -> None:
    await fill(store)
    await back_up(whole, file)
    with interrupted(file, "changes") as backup, pytest.raises(Interrupted):
        await other.whole().restore(backup, only_over(None), ignore)
    assert await other.whole().target(0) is None


async def test_readers_see_the_old_content_until_all_of_the_new_is_there(
    store: LoggedStore, whole: Database, file: Path
) -> None:
    old = await fill(store)
    await back_up(whole, file)
    new = (await commit(store, service("a", 0.75))).head.point
    seen: list[Head] = []

    class Watched:
        """A backup whose reader looks what everybody else sees meanwhile."""

        def __init__(self) -> None:
            self.manifest = backup.manifest

        def __iter__(self):  # type: ignore[no-untyped-def]
            for table, rows in backup:
                seen.append(asyncio.run_coroutine_threadsafe(store.head(old.revision), loop).result(10))
                yield table, rows

    loop = asyncio.get_running_loop()
    with open_backup(file) as backup:
        await asyncio.to_thread(lambda: asyncio.run(whole.restore(Watched(), only_over(new), ignore)))
    assert len(seen) > 4
    assert {head.point for head in seen} == {new}
    assert (await store.head()).point == old


async def test_what_was_committed_meanwhile_is_not_replaced(store: LoggedStore, whole: Database, file: Path) -> None:
    old = await fill(store)
    await back_up(whole, file)
    new = (await commit(store, service("a", 0.75))).head.point
    before = await rows_of(whole)
    for over in (old, None):
        with pytest.raises(HeadMoved) as refused:
            await restore(whole, file, over)
        assert refused.value.point == new
    assert await rows_of(whole) == before


async def test_whoever_agrees_to_all_is_told_what_is_really_replaced(store: LoggedStore, whole: Database, file: Path) -> None:
    old = await fill(store)
    await back_up(whole, file)
    new = (await commit(store, service("a", 0.75))).head.point
    told: list[Target | None] = []
    with open_backup(file) as backup:
        await whole.restore(backup, told.append, ignore)
    assert told == [Target(new, old.commit_id)]
    assert (await store.head()).point == old


async def test_a_backup_without_the_head_that_it_promises_replaces_nothing(
    store: LoggedStore, whole: Database, file: Path
) -> None:
    point = await fill(store)
    await back_up(whole, file)
    before = await rows_of(whole)
    with open_backup(file) as backup:
        backup.manifest = replace(backup.manifest, revision=point.revision + 1)
        with pytest.raises(BackupInvalid, match="does not have"):
            await whole.restore(backup, only_over(point), ignore)
    assert await rows_of(whole) == before


async def test_what_is_there_is_told(store: LoggedStore, whole: Database) -> None:
    first = (await store.head()).point
    point = await fill(store)
    assert await whole.target(0) == Target(point, first.commit_id)
    assert await whole.target(point.revision + 1) == Target(point, None)


async def test_the_replicas_of_a_store_that_was_replaced_follow_and_so_do_those_that_it_had_accepted(
    store: LoggedStore, whole: Database, other: databases.Database, file: Path
) -> None:
    point = await fill(store)
    await back_up(whole, file)
    there = other.new_store()
    await there.open()
    try:
        replaced = (await there.head()).point
        await there.accept("1" * 32)
        await restore(other.whole(), file, replaced)
        head = await there.head()
    finally:
        await there.close()
    assert head.point == point
    assert sorted(head.accepted) == sorted([ELSE, "1" * 32, replaced.store_id])


async def test_replicas_are_told_at_once(open_store: OpenStore, whole: Database, file: Path) -> None:
    store = await open_store()
    old = await fill(store)
    await back_up(whole, file)
    new = (await commit(store, service("a", 0.75))).head.point
    await store.wait_for_news(0.01)
    if whole.name == "PostgreSQL":
        async with asyncio.timeout(30):
            news = asyncio.create_task(store.wait_for_news(60))
            await restore(whole, file, new)
            await news
    else:
        await restore(whole, file, new)
    assert (await store.head(new.revision)).point == old


async def test_an_empty_database_is_neither_backed_up_nor_filled_by_looking(database: databases.Database, file: Path) -> None:
    whole = database.whole()
    for _ in range(2):
        assert await whole.target(0) is None
        with pytest.raises(StoreUnusable, match=r"empty|no store"):
            await back_up(whole, file)
    if isinstance(database, databases.SqliteDatabase):
        assert not database.path.exists()


async def test_a_newer_schema_is_neither_read_nor_replaced(
    store: LoggedStore, database: databases.Database, whole: Database, file: Path
) -> None:
    point = await fill(store)
    await back_up(whole, file)
    await database.ask("INSERT INTO schema_migrations (number, name, checksum, oldest_program) VALUES (99, 'x', 'x', 1)")
    for work in (back_up(whole, file.with_name("more")), whole.target(0), restore(whole, file, point)):
        with pytest.raises(StoreUnusable, match="schema 99, and this program knows"):
            await work
    assert (await store.head()).point == point


async def test_an_older_schema_is_not_read_and_is_brought_up_to_date_by_a_restore(
    store: LoggedStore, database: databases.Database, whole: Database, file: Path
) -> None:
    point = await fill(store)
    await back_up(whole, file)
    before = await rows_of(whole)
    await database.ask("DELETE FROM schema_migrations WHERE number > 1")
    await database.ask("DROP TABLE backups")
    await database.ask("DROP TABLE accepted_stores")
    await database.ask("DROP INDEX idx_changes_key")
    await database.ask("DROP INDEX idx_changes_not_service")
    with pytest.raises(StoreUnusable, match="start a server of this version first"):
        await back_up(whole, file.with_name("more"))
    assert await whole.target(0) is not None
    await restore(whole, file, point)
    assert await rows_of(whole) == before


def test_the_schema_has_one_number_on_every_product() -> None:
    assert migrations("sqlite")[-1].number == migrations("postgres")[-1].number

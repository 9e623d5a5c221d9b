"""What every store tells of its growth and of its last backup."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from storage.backup import KEPT_NOTES, Database
from storage.errors import SchemaOutdated, StoreUnavailable, StoreUnusable
from storage.figures import MONTHS
from storage.history import LoggedStore
from tests.contract import databases
from tests.contract.backups import back_up, lines_of, restore, write_lines
from tests.contract.test_backup import fill
from tests.contract.writes import boost, commit, deletion, policy, service


@pytest.fixture
def whole(database: databases.Database) -> Database:
    return database.whole()


async def test_a_new_store_has_the_silent_default_and_was_never_backed_up(store: LoggedStore) -> None:
    figures = await store.figures()
    assert figures.created == {"service": [0] * MONTHS, "policy": [1, *[0] * (MONTHS - 1)], "boost": [0] * MONTHS}
    assert (figures.revisions, figures.last_backup) == (1, None)
    assert figures.database_bytes > 0


async def test_records_count_in_the_month_in_which_they_were_created_and_while_they_are_there(
    store: LoggedStore, database: databases.Database
) -> None:
    await commit(store, *(service(name) for name in "abcde"), policy("p"), boost("a"))
    await commit(store, service("a", 0.25), deletion(service("b")))
    now = datetime.now(UTC)
    this_month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    instants = {"c": this_month - timedelta(milliseconds=1), "d": this_month - timedelta(days=120)}
    for name, instant in instants.items():
        text = instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        await database.ask(f"UPDATE tracing_configurations SET created_at = '{text}' WHERE service_name = '{name}'")
    await database.ask("UPDATE tracing_configurations SET created_at = '2019-01-31T23:59:59.5Z' WHERE service_name = 'e'")
    created = (await store.figures()).created
    services = [0] * MONTHS
    for instant in (now, *instants.values()):
        services[(now.year - instant.year) * 12 + now.month - instant.month] += 1
    assert created == {"service": services, "policy": [2, 0, 0, 0, 0, 0], "boost": [1, 0, 0, 0, 0, 0]}
    assert (await store.figures()).revisions == 3


async def test_tables_are_told_with_and_without_their_indexes_where_that_is_cheap(store: LoggedStore) -> None:
    before = await store.figures()
    await commit(store, *(service(f"s{number}") for number in range(2000)))
    figures = await store.figures()
    assert figures.database_bytes > before.database_bytes
    if store.name == "SQLite":
        assert figures.tables == {}
        return
    assert {"revisions", "changes", "tracing_configurations", "sampling_policies", "backups"} < figures.tables.keys()
    for name in ("changes", "tracing_configurations"):
        size = figures.tables[name]
        assert size.total_bytes > size.bytes > before.tables[name].bytes


async def test_the_newest_backup_is_told_by_the_moment_that_it_holds(
    store: LoggedStore, database: databases.Database, whole: Database, tmp_path: Path
) -> None:
    await fill(store)
    manifest = await back_up(whole, tmp_path / "backup")
    assert (await store.figures()).last_backup is None  # Nobody has said that it arrived.
    await whole.note(manifest, "s3://bucket/key", 1234)
    await whole.note(replace(manifest, created_at=manifest.created_at - timedelta(days=1)), "older", 1)
    told = (await store.figures()).last_backup
    assert told is not None
    # SQLite keeps whole milliseconds.
    assert abs(told - manifest.created_at) <= timedelta(milliseconds=1)
    rows = await database.ask("SELECT place, revision, bytes FROM backups ORDER BY made_at DESC")
    assert rows == [("s3://bucket/key", manifest.revision, 1234), ("older", manifest.revision, 1)]


async def test_only_the_newest_backups_are_remembered(
    store: LoggedStore, database: databases.Database, whole: Database, tmp_path: Path
) -> None:
    manifest = await back_up(whole, tmp_path / "backup")
    for number in range(KEPT_NOTES + 2):
        await whole.note(replace(manifest, created_at=manifest.created_at + timedelta(seconds=number)), f"{number}", 1)
    rows = await database.ask("SELECT place FROM backups ORDER BY made_at")
    assert rows == [(f"{number}",) for number in range(2, KEPT_NOTES + 2)]


async def test_a_backup_of_another_store_is_not_noted(store: LoggedStore, whole: Database, tmp_path: Path) -> None:
    manifest = await back_up(whole, tmp_path / "backup")
    with pytest.raises(StoreUnusable, match="another store has taken the place"):
        await whole.note(replace(manifest, store_id="0" * 32), "x", 1)
    assert (await store.figures()).last_backup is None


async def test_a_file_that_is_gone_is_not_made_again_to_note_its_backup(
    store: LoggedStore, database: databases.Database, whole: Database, tmp_path: Path
) -> None:
    if not isinstance(database, databases.SqliteDatabase):
        return
    manifest = await back_up(whole, tmp_path / "backup")
    await store.close()
    database.path.unlink()
    with pytest.raises(StoreUnusable, match="no store any more"):
        await whole.note(manifest, "x", 1)
    assert not database.path.exists()


@pytest.mark.parametrize("schema", [2, 3])
async def test_a_restored_store_knows_the_backup_that_it_is_made_from_and_no_other(
    store: LoggedStore, database: databases.Database, whole: Database, tmp_path: Path, schema: int
) -> None:
    """Those of what was there may hold commits that are lost: they say nothing of what is there now."""
    point = await fill(store)
    manifest = await back_up(whole, tmp_path / "backup")
    lines = lines_of(tmp_path / "backup")
    lines[0]["schema"] = schema  # The tables are the same.
    write_lines(tmp_path / "backup", lines)
    await whole.note(manifest, "the same", 1)
    later = (await commit(store, service("later"))).head.point
    await whole.note(replace(manifest, created_at=manifest.created_at + timedelta(days=1), revision=later.revision), "later", 1)
    await restore(whole, tmp_path / "backup", later)
    [(place, revision, size)] = await database.ask("SELECT place, revision, bytes FROM backups")
    assert (place, revision, size) == ("restored from it", point.revision, None)
    told = (await store.figures()).last_backup
    assert told is not None
    assert abs(told - manifest.created_at) <= timedelta(milliseconds=1)


async def test_an_older_schema_that_was_put_in_place_is_told_from_other_faults(
    store: LoggedStore, database: databases.Database
) -> None:
    await database.ask("DELETE FROM schema_migrations WHERE number = 3")
    await database.ask("DROP TABLE backups")
    with pytest.raises(SchemaOutdated, match="older than 3"):
        await store.figures()
    await store.open(create=False)
    assert (await store.figures()).last_backup is None


async def test_a_store_that_is_not_open_tells_nothing(database: databases.Database) -> None:
    with pytest.raises(StoreUnavailable):
        await database.new_store().figures()

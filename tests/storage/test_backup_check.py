"""A backup of tables that do not fit together is noticed when it is made and when it is verified."""

from pathlib import Path

import pytest

from sampling.records import Key
from storage.backup_check import verify
from storage.backup_file import open_backup
from storage.errors import BackupInvalid
from storage.interface import Write
from storage.sqlite.backup import SqliteDatabase
from tests.contract import databases
from tests.contract.backups import backed_up, ignore, lines_of, write_lines
from tests.contract.writes import boost, commit, deletion, policy, service


@pytest.fixture
async def database(tmp_path: Path) -> databases.SqliteDatabase:
    """A store in which something was added, changed, deleted, reset and added again."""
    database = databases.SqliteDatabase(tmp_path / "tracing-config.db")
    store = database.new_store()
    await store.open()
    await commit(store, service("a"), service("b"), policy("p"), boost("a"))
    await commit(store, service("a", 0.25), deletion(policy("p")))
    await commit(store, policy("p", 2), deletion(boost("a")), deletion(service("b")))
    await commit(store, service("b"))
    await store.close()
    return database


async def verified(file: Path) -> None:
    with open_backup(file) as backup:
        await verify(backup, SqliteDatabase(file.with_name("scratch.db")), restored=ignore, compared=ignore)


async def test_what_fits_together_is_right(database: databases.SqliteDatabase, tmp_path: Path) -> None:
    _, problem = await backed_up(database.whole(), tmp_path / "backup")
    assert problem is None
    await verified(tmp_path / "backup")


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ("DELETE FROM changes WHERE revision = 2 AND position = 1", "its log .* checksum of revision 2"),
        ("DELETE FROM changes WHERE revision = 4", "its log .* checksum of revision 4"),
        ("UPDATE changes SET key = 'c' WHERE revision = 1 AND key = 'b'", "its log .* checksum of revision 1"),
        ("UPDATE revisions SET checksum = '0' WHERE revision = 3", "its log .* checksum of revision 3"),
        ("UPDATE revisions SET checksum = 'none' WHERE revision = 3", "checksum of a revision is 'none'"),
        ("UPDATE tracing_configurations SET revision = 1", "its records .* checksum of revision 4"),
        ("DELETE FROM sampling_policies WHERE name = 'p'", "its records .* checksum of revision 4"),
        ("UPDATE store SET revision = 3", "its log ends at revision 4, not at 3-"),
    ],
)
async def test_what_does_not_fit_together_is_told(
    database: databases.SqliteDatabase, tmp_path: Path, edit: str, told: str
) -> None:
    await database.ask(edit)
    _, problem = await backed_up(database.whole(), tmp_path / "backup")
    assert problem is not None
    with pytest.raises(BackupInvalid, match=told):
        await verified(tmp_path / "backup")


async def test_a_row_that_a_database_would_not_give_back_is_noticed(database: databases.SqliteDatabase, tmp_path: Path) -> None:
    """Its digest is right, and so are all checksums."""
    await backed_up(database.whole(), tmp_path / "backup")
    lines = lines_of(tmp_path / "backup")
    services = [line for line in lines[1:] if line[0] in {"a", "b"}]
    first, second = (lines.index(line) for line in services)
    lines[first], lines[second] = lines[second], lines[first]
    write_lines(tmp_path / "altered", lines)
    with pytest.raises(BackupInvalid, match="rows of tracing_configurations are not the same"):
        await verified(tmp_path / "altered")


async def test_a_name_like_that_of_a_boost_is_the_boost_of_a_service(tmp_path: Path) -> None:
    database = databases.SqliteDatabase(tmp_path / "tracing-config.db")
    store = database.new_store()
    await store.open()
    await commit(store, boost("x"), service("boost:x"), Write(Key("service", "x"), service("x").body))
    await store.close()
    _, problem = await backed_up(database.whole(), tmp_path / "backup")
    assert problem is None

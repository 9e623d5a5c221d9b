"""The bytes of a backup: what is altered, cut or not ours is refused, and any tool can read the rest."""

import asyncio
import gzip
import os
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from storage.backup import TABLES, schema
from storage.backup_file import FORMAT, digest_member, open_backup
from storage.errors import BackupInvalid
from storage.sqlite import SqliteStore
from storage.sqlite.backup import SqliteDatabase
from tests.contract.backups import back_up, lines_of, write_lines
from tests.contract.writes import boost, commit, policy, service


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a store with a little of everything."""
    folder = tmp_path_factory.mktemp("backup")

    async def make() -> None:
        store = SqliteStore(folder / "tracing-config.db")
        await store.open()
        await commit(store, service("a"), policy("p"), boost("a"))
        await commit(store, service("a", 0.25), service("b"))
        await store.close()
        await back_up(SqliteDatabase(folder / "tracing-config.db"), folder / "backup")

    asyncio.run(make())
    return folder / "backup"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def read(file: Path) -> list[Any]:
    with open_backup(file) as backup:
        return list(backup)


def test_every_altered_byte_is_noticed(whole: Path, file: Path) -> None:
    data = whole.read_bytes()
    assert len(data) > 600
    for index in range(len(data)):
        for bits in (0x01, 0x80, 0xFF):
            file.write_bytes(data[:index] + bytes([data[index] ^ bits]) + data[index + 1 :])
            with pytest.raises(BackupInvalid):
                read(file)


def test_every_cut_and_every_addition_is_noticed(whole: Path, file: Path) -> None:
    data = whole.read_bytes()
    others = [data[:length] for length in range(len(data))]
    others += [data[1:], data + b"\0", data + data, data[:500] + data[501:], data[:500] + b"\0" + data[500:]]
    for other in others:
        file.write_bytes(other)
        with pytest.raises(BackupInvalid):
            read(file)


def test_any_tool_can_read_it(whole: Path) -> None:
    manifest, *rows = lines_of(whole)
    assert manifest["format"] == FORMAT
    assert list(manifest["rows"]) == [table.name for table in TABLES]
    assert len(rows) == sum(manifest["rows"].values())
    assert ["b", '{"samplingStrategy":{"type":"probabilistic","param":0.5}}', 2] in [row[:3] for row in rows]


def test_it_can_be_read_again_and_again(whole: Path) -> None:
    with open_backup(whole) as backup:
        begun = iter(backup)
        next(begun)
        assert list(backup) == list(backup)
        assert len(list(begun)) == len(list(backup)) - 1


def change(**fields: Any) -> Callable[[list[Any]], object]:
    return lambda lines: lines[0].update(fields)


@pytest.mark.parametrize(
    ("altered", "told"),
    [
        (change(format="tracing-config-backup/2"), "take the version that made it"),
        (change(schema=schema() + 1, program="9.9"), "made by version 9.9, and this program knows"),
        (change(rows={"changes": 1}), "which are not those of schema"),
        (change(revision="x"), "manifest cannot be read"),
        (change(revision=2**63), "manifest cannot be read"),
        (change(rows=dict.fromkeys((table.name for table in TABLES), -1)), "manifest cannot be read"),
        (lambda lines: lines[1].__setitem__(0, 2**63), "row that cannot be read"),
        (lambda lines: lines.pop(), "lacks 1 rows of sampling_policies"),
        (lambda lines: lines.append(lines[-1]), "more rows than it says"),
        (lambda lines: lines[3].pop(), "row that cannot be read"),
        (lambda lines: lines.insert(0, []), "manifest cannot be read"),
    ],
)
def test_what_this_program_cannot_read_is_refused_with_the_cure(
    whole: Path, file: Path, altered: Callable[[list[Any]], object], told: str
) -> None:
    lines = lines_of(whole)
    write_lines(file, lines)
    assert read(file) == read(whole)
    altered(lines)
    write_lines(file, lines)
    with pytest.raises(BackupInvalid, match=told) as refused:
        read(file)
    assert str(refused.value).startswith(f"{file}: ")


def test_a_line_that_never_ends_is_given_up_soon(file: Path) -> None:
    compressed = gzip.compress(b" " * (257 * 1024 * 1024), 1)
    file.write_bytes(compressed + digest_member(sha256(compressed).hexdigest()))
    before = time.process_time()
    with pytest.raises(BackupInvalid, match="a line of more than"):
        read(file)
    assert time.process_time() - before < 10  # It took a minute to copy all that had come at each piece that came.


def test_a_pipe_is_refused_and_not_waited_for(file: Path) -> None:
    os.mkfifo(file)
    with pytest.raises(BackupInvalid, match="save it in a file first"):
        read(file)


@pytest.mark.parametrize("content", [b"", b"x", b"-- PostgreSQL database dump\n" * 50])
def test_what_is_no_backup_is_told(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(BackupInvalid, match="this is no backup of tracing-config"):
        read(file)

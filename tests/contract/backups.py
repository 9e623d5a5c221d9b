"""Short ways to make backups and to look at them."""

import gzip
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from storage.backup import Backup, Database, Manifest, Row, Table, only_over
from storage.backup_check import BackupCheck
from storage.backup_file import digest_member, open_backup, write_backup
from storage.interface import Point


async def back_up(database: Database, file: Path) -> Manifest:
    """Make a backup, whose content must fit together."""
    manifest, problem = await backed_up(database, file)
    assert problem is None
    return manifest


async def backed_up(database: Database, file: Path) -> tuple[Manifest, str | None]:
    """Make a backup; what is wrong with its content."""
    check = BackupCheck()
    with file.open("wb") as opened:
        async with database.dump() as dump:
            manifest = await write_backup(opened, dump, store=database.name, program="tests", written=check.add)
    return manifest, check.problem(manifest)


async def restore(database: Database, file: Path, over: Point | None = None) -> None:
    with open_backup(file) as backup:
        await database.restore(backup, only_over(over), ignore)


async def rows_of(database: Database) -> dict[str, list[Row]]:
    """Every row by table."""
    async with database.dump() as dump:
        found: dict[str, list[Row]] = {name: [] for name in dump.rows}
        async for table, rows in dump:
            found[table.name] += rows
        assert {name: len(rows) for name, rows in found.items()} == dict(dump.rows)
    return found


def ignore(_: int) -> None:
    """Nobody watches."""


def lines_of(file: Path) -> list[Any]:
    """The manifest and all rows of a backup, as any tool reads them."""
    with gzip.open(file, "rt", encoding="utf-8") as opened:
        *lines, digest = map(json.loads, opened)
    assert digest.keys() == {"sha256"}
    return lines


def write_lines(file: Path, lines: Sequence[Any]) -> None:
    """A file with these lines and the right digest."""
    data = gzip.compress("".join(f"{json.dumps(line)}\n" for line in lines).encode())
    file.write_bytes(data + digest_member(sha256(data).hexdigest()))


class Interrupted(Exception):
    """Is raised in the middle."""


class InterruptedBackup:
    """A backup that cannot be read to its end."""

    def __init__(self, backup: Backup, after: str) -> None:
        """``after``: the table in which it breaks."""
        self.manifest, self._backup, self._after = backup.manifest, backup, after

    def __iter__(self) -> Iterator[tuple[Table, Sequence[Row]]]:
        for table, rows in self._backup:
            yield table, rows
            if table.name == self._after:
                raise Interrupted


@contextmanager
def interrupted(file: Path, after: str) -> Iterator[InterruptedBackup]:
    with open_backup(file) as backup:
        yield InterruptedBackup(backup, after)

"""The schema's history: numbered SQL files, and which of them a database still needs.

They only expand: a program that knows less than the database may go on, unless a migration says how new it must be.
"""

import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

from storage.errors import StoreEmpty, StoreUnusable, WrongVersion

_FIRST_LINE = re.compile(r"-- oldest program: (\d+)\n")


class Applied(NamedTuple):
    """A row of ``schema_migrations``."""

    number: int
    checksum: str
    oldest_program: int


class Migration(NamedTuple):
    """One file, ``NNNN_name.sql``. It begins with the comment ``-- oldest program: N``.

    ``oldest_program`` is the lowest schema number that a program must know to run on a database with this migration.
    """

    number: int
    name: str
    sql: str
    oldest_program: int

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(product: str) -> Sequence[Migration]:
    """All that this program knows for ``postgres`` or ``sqlite``, in order; the last number is the program's own."""
    folder = resources.files("storage") / "migrations" / product
    return sorted(_read(file.name, file.read_text("utf-8")) for file in folder.iterdir() if file.name.endswith(".sql"))


def _read(file_name: str, sql: str) -> Migration:
    number, _, name = file_name.removesuffix(".sql").partition("_")
    first_line = _FIRST_LINE.match(sql)
    if first_line is None:
        raise ValueError(f"{file_name}: must begin with the line '-- oldest program: N'")
    return Migration(int(number), name, sql, int(first_line[1]))


def pending(known: Sequence[Migration], applied: Sequence[Applied], *, create: bool) -> Sequence[Migration]:
    """What is to be run, in order, on a database with these rows; one without any is only filled with ``create``.

    Raises:
        StoreEmpty: it is empty and may not be filled.
        WrongVersion: the database needs a newer program.
        StoreUnusable: the database was made by another text of a migration.
    """
    if not applied and not create:
        raise StoreEmpty(
            "the database is empty, and what is served comes from another; answers stay and writes are refused: "
            "restore the backup there, or begin anew in it with `tracing-config store accept`"
        )
    checksums = {migration.number: migration.checksum for migration in known}
    program = max(checksums)
    for row in applied:
        if row.number not in checksums:
            if row.oldest_program > program:
                raise WrongVersion(
                    f"the database has schema {row.number}, which needs a program that knows schema {row.oldest_program}; "
                    f"this one knows {program}: start a newer version"
                )
        elif row.checksum != checksums[row.number]:
            raise StoreUnusable(
                f"the database's schema {row.number} was made by another text than this program has; "
                "start the version that made it, or restore a backup"
            )
    done = {row.number for row in applied}
    return [migration for migration in known if migration.number not in done]

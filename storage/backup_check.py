"""Whether what a backup holds fits together: its log replayed, its records summed up."""

from array import array
from collections.abc import Callable, Sequence

from sampling.records import Key
from storage.backup import CHANGES, POLICIES, REVISIONS, SERVICES, Backup, Database, Manifest, Row, Table, only_over
from storage.checksum import MASK, read_checksum, record_hash
from storage.errors import BackupInvalid, ContentMismatch
from storage.rows import change_of


class BackupCheck:
    """Takes all rows in their order, and tells what does not come out at the checksum that it should.

    It holds the keys that there are and two numbers for each revision, not the rows.
    """

    def __init__(self) -> None:
        self._revisions, self._checksums = array("q"), array("Q")
        self._next = 0
        """Of the revisions, the first one whose changes have not all come."""
        self._state: dict[tuple[str, str], int] = {}
        self._of_log = self._of_records = 0
        self._newest = -1, ""
        self._problems: list[str] = []

    def add(self, table: Table, rows: Sequence[Row]) -> None:
        """The next rows."""
        if table is REVISIONS:
            self._add_revisions(rows)
        elif table is CHANGES:
            self._add_changes(rows)
        elif table in (SERVICES, POLICIES):
            kind = "service" if table is SERVICES else "policy"
            for name, record, revision, commit_id, *_ in rows:
                key = change_of(kind, name, revision, commit_id, record).key
                self._of_records += record_hash(key, revision)

    def problem(self, manifest: Manifest) -> str | None:
        """What is wrong, after all rows."""
        self._end_before(manifest.revision + 1)
        if self._newest != (manifest.revision, manifest.commit_id):
            self._problems.append(f"its log ends at revision {self._newest[0]}, not at {manifest.point}")
        if f"{self._of_records & MASK:016x}" != manifest.checksum:
            self._problems.append(f"its records do not come out at the checksum of revision {manifest.revision}")
        return self._problems[0] if self._problems else None

    def _add_revisions(self, rows: Sequence[Row]) -> None:
        for revision, commit_id, _, _, _, checksum in rows:
            self._newest = revision, commit_id
            try:
                self._checksums.append(read_checksum(checksum) & MASK)
            except ContentMismatch as error:
                self._problems.append(str(error))
                self._checksums.append(0)
            self._revisions.append(revision)

    def _add_changes(self, rows: Sequence[Row]) -> None:
        for revision, _, kind, name, _, after in rows:
            self._end_before(revision)
            before = self._state.pop((kind, name), None)
            if before is not None:
                self._of_log -= record_hash(Key(kind, name), before)
            if after is not None:
                self._of_log += record_hash(Key(kind, name), revision)
                self._state[kind, name] = revision

    def _end_before(self, revision: int) -> None:
        """Every revision before this one has had all its changes."""
        while self._next < len(self._revisions) and self._revisions[self._next] < revision:
            if self._checksums[self._next] != self._of_log & MASK:
                number = self._revisions[self._next]
                self._problems.append(f"its log does not come out at the checksum of revision {number}")
                self._next = len(self._revisions)  # Those that follow cannot.
                return
            self._next += 1


async def verify(
    backup: Backup, scratch: Database, *, restored: Callable[[int], object], compared: Callable[[int], object]
) -> None:
    """Restore a backup into an empty database, and compare all that is there then with it.

    Both functions are called with so many rows at a time.

    Raises:
        BackupInvalid: it is not what was backed up, or does not fit together.
        StoreError: the scratch database fails.
    """
    manifest = backup.manifest
    await scratch.restore(backup, only_over(None), restored)
    check = BackupCheck()
    async with scratch.dump() as dump:
        if (dump.head.point, dict(dump.rows)) != (manifest.point, manifest.rows):
            raise BackupInvalid(f"it was restored at {dump.head.point} with other numbers of rows")
        expected = iter(backup)
        async for table, rows in dump:
            if next(expected, None) != (table, rows):
                raise BackupInvalid(f"rows of {table.name} are not the same after it was restored")
            check.add(table, rows)
            compared(len(rows))
    if problem := check.problem(manifest):
        raise BackupInvalid(f"{problem}; it was so when the backup was made: `tracing-config validate` tells more")

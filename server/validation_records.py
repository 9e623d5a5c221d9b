"""Compares what is served, what stands in the tables, and what the log says, at one revision."""

from collections.abc import AsyncIterable, Generator, Iterator, Sequence

from sampling.catalog import Catalog
from sampling.records import KINDS, RECORD_TYPES, Change, Key, Kind, Stored, decode_record
from server.validation_report import Finding, Listed
from storage.checksum import MASK, record_hash
from storage.history import Flaws
from storage.interface import Head, Load
from storage.pacing import paced

SLICE_RECORDS = 50

SHOWN_REVISIONS = 10

_LOG_HAS_IT = "GET /api/v1/config/changes shows what the log has; write that again, or restore a backup"


class Records:
    """All records at one revision: those of a catalog that nobody serves, but for those in which they differ from it.

    So 100,000 of them cost next to nothing where nothing is wrong.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.differing: dict[Key, Stored | None] = {}
        """The records that are not those of the catalog; None: not there."""

    def get(self, key: Key) -> Stored | None:
        if key in self.differing:
            return self.differing[key]
        return self.catalog.records(key.kind).get(key.name)

    def __iter__(self) -> Iterator[tuple[Key, Stored]]:
        for kind in KINDS:
            for name, stored in self.catalog.records(kind).items():
                if (key := Key(kind, name)) not in self.differing:
                    yield key, stored
        for key, differing in self.differing.items():
            if differing is not None:
                yield key, differing


class Walk:
    """Goes once over records from elsewhere, beside known ones: ``changed`` is told of each that is not the same.

    Its arguments are the key, the known record and the other; None is: not there.
    """

    def __init__(self, known: Records) -> None:
        self.known = known
        self.checksum = 0
        """Of the records from elsewhere."""
        self._met: dict[Kind, set[str]] = {kind: set() for kind in KINDS}

    def over(self, changes: Sequence[Change]) -> Generator[None, None, list[tuple[Key, Stored | None, Stored | None]]]:
        """What differs among these, which belong to the others."""
        differing: list[tuple[Key, Stored | None, Stored | None]] = []
        for index, change in enumerate(changes):
            key, other = change.key, change.record
            if other is not None:
                self._met[key.kind].add(key.name)
                self.checksum = (self.checksum + record_hash(key, other.revision)) & MASK
                if (known := self.known.get(key)) != other:
                    differing.append((key, known, other))
            if index % SLICE_RECORDS == 0:
                yield
        return differing

    def rest(self) -> Generator[None, None, list[tuple[Key, Stored | None, Stored | None]]]:
        """Afterwards: the known ones that the others did not have."""
        missing: list[tuple[Key, Stored | None, Stored | None]] = []
        for index, (key, known) in enumerate(self.known):
            if key.name not in self._met[key.kind]:
                missing.append((key, known, None))
            if index % SLICE_RECORDS == 0:
                yield
        return missing

    async def all(self, chunks: AsyncIterable[Sequence[Change]]) -> list[tuple[Key, Stored | None, Stored | None]]:
        """Everything that differs."""
        differing = []
        async for chunk in chunks:
            differing += await paced(self.over(chunk))
        return differing + await paced(self.rest())


async def read_store(load: Load, catalog: Catalog) -> tuple[Records, list[Finding]]:
    """The records in the tables, and what is wrong with them by themselves."""
    records = Records(catalog)
    walk = Walk(records)
    differing = await walk.all(load)
    records.differing = {key: stored for key, _, stored in differing}
    problems: list[Finding] = []
    if walk.checksum != load.head.checksum:
        message = (
            f"the tables come out at the checksum {walk.checksum:016x}, the head says {load.head.checksum:016x}: "
            "rows were added, removed or given another revision by SQL; no replica takes such a load. Restore a backup"
        )
        problems.append(Finding("checksum", message))
    return records, problems + await paced(_unreadable(records))


def _unreadable(records: Records) -> Generator[None, None, list[Finding]]:
    unreadable = Listed(
        "unreadable-record", "records cannot be read and count as absent; write them again through the API, or delete them"
    )
    for key, message in records.catalog.problems.items():
        if key not in records.differing:
            unreadable.add(key, message)
        yield
    for key, stored in records.differing.items():
        if stored is not None:
            try:
                decode_record(RECORD_TYPES[key.kind], stored.body)
            except ValueError as error:
                unreadable.add(key, str(error))
        yield
    return unreadable.findings()


def compare_served(records: Records) -> Generator[None, None, list[Finding]]:
    """What is served beside the tables, at the same point."""
    differs = Listed(
        "served-differs",
        "what is served is not what stands in the tables: they were edited by SQL since. "
        "POST /api/v1/admin/cache/refresh makes what stands there be served",
    )
    for key in records.differing:
        differs.add(key)
        yield
    return differs.findings()


def judge_log(flaws: Flaws) -> tuple[list[Finding], list[Finding]]:
    """What the log tells of itself: problems and warnings."""
    problems: list[Finding] = []
    if flaws.incomplete:
        numbers = ", ".join(map(str, flaws.incomplete[:SHOWN_REVISIONS]))
        more = ", ..." if len(flaws.incomplete) > SHOWN_REVISIONS else ""
        message = f"the log lacks changes of revision {numbers}{more}: rows were deleted by SQL. Restore a backup"
        problems.append(Finding("incomplete-log", message))
    unlogged = Listed(
        "unlogged-change",
        "the log does not say how records became what a commit found: they were edited by SQL, or an older row of the log was. "
        "Diff, rollback and export tell what the log says",
    )
    for key, revision in flaws.unlogged:
        unlogged.add(key, f"before revision {revision}")
    return problems, unlogged.findings()


async def compare_log(records: Records, log: Load, head: Head) -> list[Finding]:
    """The tables beside the replay of the log."""
    edited = Listed("edited-record", f"rows have another text than the log: they were edited by SQL. {_LOG_HAS_IT}")
    moved = Listed("edited-revision", f"rows have another revision or commit than the log: edited by SQL. {_LOG_HAS_IT}")
    missing = Listed("missing-record", f"the log has records that the tables lack: rows were deleted by SQL. {_LOG_HAS_IT}")
    unknown = Listed("unknown-record", f"the tables have rows that the log does not know: added by SQL. {_LOG_HAS_IT}")
    walk = Walk(records)
    for key, row, logged in await walk.all(log):
        if logged is None:
            unknown.add(key)
        elif row is None:
            missing.add(key)
        elif row.body != logged.body:
            edited.add(key)
        else:
            moved.add(key, f"the row says {row.etag}, the log {logged.etag}")
    problems = [finding for listed in (edited, moved, missing, unknown) for finding in listed.findings()]
    if walk.checksum != head.checksum:
        message = (
            f"the log comes out at the checksum {walk.checksum:016x}, its revision says {head.checksum:016x}: "
            "its rows were edited by SQL. Restore a backup"
        )
        problems.append(Finding("log-checksum", message))
    return problems

"""``/api/v1/config/import``: a whole document, in our own format or Jaeger's, as one revision."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal, cast

import msgspec
import structlog
from aiohttp import web

from sampling.catalog import Catalog
from sampling.records import DEFAULT_KEY, SILENT_DEFAULT, Change, Key, encode_record, owner_of
from sampling.strategy import MAX_NAME_BYTES, check_name
from server.sidecar.configuration import Written, commit, json_response
from server.sidecar.dry_run import DryRun, catch_up_unless_away
from server.sidecar.errors import Problem, from_store, problem_response
from server.sidecar.import_progress import ClientGone, Progress, Stage
from server.sidecar.import_reading import Imported, ImportReading
from server.sidecar.requests import WriteQuery, read_body
from server.sidecar.route import Call, Route, Routes
from storage.errors import PointMismatch, StoreError
from storage.interface import Write
from storage.pacing import paced

BODY_SECONDS = 60.0

ATTEMPTS = 3
"""How often a replacement is worked out anew when a record that it deletes was written meanwhile."""

_AT_ONCE = 100

_log = structlog.get_logger(__name__)


class ImportQuery(WriteQuery, frozen=True):
    """Of an import."""

    mode: Annotated[
        Literal["merge", "replace"], msgspec.Meta(description="`replace` also deletes what the owner owns and is not there.")
    ] = "merge"
    owner: Annotated[
        str, msgspec.Meta(max_length=MAX_NAME_BYTES, description="Manages the records from now on; else as the document says.")
    ] = ""
    lenient: Annotated[bool, msgspec.Meta(description="Take a file in Jaeger's format as Jaeger would.")] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.owner:
            check_name("owner", self.owner)
            if self.owner.strip() != self.owner:
                raise ValueError("owner: must not begin or end with white space")


class TakenOtherwise(msgspec.Struct, frozen=True):
    """A spot of a strategies file that was taken otherwise than it stands there."""

    path: str
    message: str


class ImportResult(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What an import did, as one revision."""

    revision: int
    point: str
    written: int
    deleted: int
    unchanged: int
    """Records of the document that were already so."""

    boosts_left_alone: int
    """Boosts of the document: they are not imported."""

    warnings: Sequence[TakenOtherwise]
    """The first 1000."""

    warning_count: int


class ImportDryRun(DryRun, frozen=True, rename="camel", kw_only=True):
    """What an import would do."""

    boosts_left_alone: int
    warnings: Sequence[TakenOtherwise]
    warning_count: int


async def import_document(call: Call[ImportQuery, bytes]) -> web.StreamResponse:
    """Take a whole document as one revision, or nothing of it. With `Accept: application/x-ndjson` the answer is 200 and lines:
    how far it is, and last the `result` or the `problem`."""
    call.parts.loaded()
    progress = Progress(call.request)
    try:
        body = await read_body(call.request, call.parts.settings.import_max_bytes, BODY_SECONDS)
        await progress.begin()
        try:
            response = await _import(call, body, progress)
        except Exception as error:
            if progress.response is None:
                raise
            if isinstance(error, ClientGone):
                raise
            await progress.end({"problem": msgspec.Raw(_body_of(problem_response(_problem(error))))})
            return progress.response
        if progress.response is None:
            return response
        with suppress(ClientGone):  # It is committed, whoever knows of it.
            await progress.end({"result": msgspec.Raw(_body_of(response))})
        return progress.response
    except ClientGone as gone:
        _log.info("an import was given up: its client went away before the commit", actor=call.identity.name)
        return progress.response or problem_response(gone)


ROUTES: Routes = [
    Route(
        method="POST",
        path="/api/v1/config/import",
        summary="Take a whole document, of our own format or Jaeger's",
        handler=import_document,
        role="editor",
        query=ImportQuery,
        body=bytes,
        example={"services": {"checkout": {"samplingStrategy": {"type": "probabilistic", "param": 0.05}}}},
        answers={200: ImportResult | ImportDryRun, 202: ImportResult},
    ),
]


async def _import(call: Call[ImportQuery, bytes], body: bytes, progress: Progress) -> web.Response:
    query = call.query
    owner = query.owner or None
    reading = ImportReading(body, owner, lenient=query.lenient)
    imported = await progress.through(reading.in_slices(), lambda: Stage("reading", reading.done, reading.total))
    records = len(imported.records)
    await progress.say(Stage("committing", 0, records))
    written = await _commit(call, imported.records, owner)
    warnings = [TakenOtherwise(warning.path, warning.message) for warning in imported.warnings]
    if isinstance(written, web.Response):
        members: dict[str, Any] = msgspec.json.decode(_body_of(written), type=dict[str, msgspec.Raw])
        members |= {"boostsLeftAlone": imported.boosts, "warnings": warnings, "warningCount": imported.warning_count}
        return json_response(members)
    put, deleted, changed = await paced(_counts(written.changes, imported))
    result = ImportResult(
        revision=written.point.revision,
        point=str(written.point),
        written=put,
        deleted=deleted,
        unchanged=records - changed,
        boosts_left_alone=imported.boosts,
        warnings=warnings,
        warning_count=imported.warning_count,
    )
    return json_response(result, status=written.status, etag=written.point.etag)


async def _commit(call: Call[ImportQuery, bytes], records: Mapping[Key, bytes], owner: str | None) -> Written | web.Response:
    """Commit the records and, where the document replaces, the deletions of what it does not have."""
    served = call.parts.served
    for attempt in range(1, ATTEMPTS + 1):
        writes = await paced(_writes(records))
        deleted: dict[Key, str] = {}
        if call.query.mode == "replace":
            # Another replica may have written what the owner owns a moment ago.
            await (catch_up_unless_away(call.parts) if call.query.dry_run else call.parts.follower.catch_up())
            catalog, _ = await served.fork()
            deleted = await paced(_deleted(catalog, records, owner))
            silent = encode_record(SILENT_DEFAULT)
            writes += [Write(key, silent if key == DEFAULT_KEY else None) for key in deleted]
        try:
            return await commit(call, writes, expected=deleted, owner=owner)
        except PointMismatch:
            # Somebody wrote a record that was to be deleted.
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _writes(records: Mapping[Key, bytes]) -> Generator[None, None, list[Write]]:
    writes = []
    for index, (key, body) in enumerate(records.items()):
        writes.append(Write(key, body))
        if index % _AT_ONCE == 0:
            yield
    return writes


def _deleted(catalog: Catalog, records: Mapping[Key, bytes], owner: str | None) -> Generator[None, None, dict[Key, str]]:
    """What the owner owns and the document does not have, with the entity tags that it was seen at."""
    deleted: dict[Key, str] = {}
    for kind in ("service", "policy"):
        for index, (name, stored) in enumerate(catalog.records(kind).items()):
            key = Key(kind, name)
            if key not in records and key not in catalog.problems and owner_of(stored.body) == owner:
                deleted[key] = stored.etag
            if index % _AT_ONCE == 0:
                yield
    return deleted


def _counts(changes: Sequence[Change], imported: Imported) -> Generator[None, None, tuple[int, int, int]]:
    """How many records were written, how many deleted, and how many of the document were changed."""
    written = deleted = changed = 0
    for index, change in enumerate(changes):
        if change.record is None:
            deleted += 1
        else:
            written += 1
        changed += change.key in imported.records
        if index % _AT_ONCE == 0:
            yield
    return written, deleted, changed


def _problem(error: Exception) -> Problem:
    """As ``problem_middleware`` tells it, which is too late for a status."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, StoreError):
        return from_store(error)
    _log.error("an import failed through a defect", exc_info=error)
    return Problem(500, "internal-error", "the import failed through a defect; the log has it")


def _body_of(response: web.Response) -> bytes:
    return cast("bytes", response.body)

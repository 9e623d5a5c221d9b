"""Answering and writing records: what all paths of the configuration API have in common."""

from collections.abc import Callable, Generator, Mapping, Sequence
from time import perf_counter
from typing import Any

import msgspec
import structlog
from aiohttp import web

from sampling.records import Change, Key, Record, Stored, encode_record
from server.sidecar.dry_run import dry_run
from server.sidecar.errors import Problem, invalid_record
from server.sidecar.requests import WriteQuery, expected_of
from server.sidecar.route import Call
from storage.errors import OutOfScope, PointMismatch
from storage.interface import PRESENT, Point, Terms, Write
from storage.pacing import paced

Show = Callable[[Stored], object]
WriteCall = Call[Any, Any]
"""A call whose query is a ``WriteQuery``."""

_log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode


def not_found(key: Key, hint: str = "") -> Problem:
    return Problem(404, "not-found", f"there is no {key.kind} {key.name!r}{hint}")


def shown(request: web.Request, stored: Stored, show: Show) -> web.Response:
    """One record with its entity tag; 304 where the client has it."""
    if stored.etag in request.headers.get("If-None-Match", "").replace("W/", "").replace(" ", "").split(","):
        return web.Response(status=304, headers={"ETag": stored.etag})
    return json_response(show(stored), etag=stored.etag)


def json_response(value: object, *, status: int = 200, etag: str | None = None) -> web.Response:
    headers = {} if etag is None else {"ETag": etag}
    return web.Response(status=status, body=_encode(value), content_type="application/json", headers=headers)


class Written(msgspec.Struct, frozen=True):
    """A batch that was committed."""

    point: Point
    """Of the commit; the head's where nothing had to be changed."""

    changes: Sequence[Change]
    served_here: bool
    """Whether this replica answers by it already; False where that took too long."""

    @property
    def status(self) -> int:
        return 200 if self.served_here else 202


async def commit(
    call: WriteCall,
    writes: Sequence[Write],
    *,
    reason: str = "",
    expected: Mapping[Key, str] = {},
    owner: str | None = None,
    undo_since: Point | None = None,
) -> Written | web.Response:
    """Commit a batch in the name of the caller, and return when it is served here; with ``dryRun``, answer what it would do.

    ``reason`` stands where the query gives none. The rest as in ``Terms``.

    Raises:
        Problem: 403 for a record that is not in the caller's scope.
        StoreError: as ``Store.commit``.
    """
    query: WriteQuery = call.query
    identity, parts = call.identity, call.parts
    await paced(_check_scope(call, writes))
    terms = Terms(
        actor=identity.name,
        reason=query.reason or reason,
        expected=expected,
        owner=owner,
        takeover=query.takeover,
        undo_since=undo_since,
        may_write=None if identity.services is None else identity.may_write,
    )
    started = perf_counter()
    try:
        if query.dry_run:
            return json_response(await dry_run(parts, writes, terms))
        committed, served_here = await parts.follower.commit(writes, terms)
    except ValueError as error:
        raise invalid_record(error) from None
    except OutOfScope as error:
        raise _forbidden(call, error.key) from None
    point = committed.head.point
    if committed.changes:
        first = committed.changes[0]
        _log.info(
            "the configuration was changed",
            kind=first.key.kind,
            name=first.key.name,
            records=len(committed.changes),
            actor=terms.actor,
            reason=terms.reason,
            at=str(point),
            commit_time=round(1000 * (perf_counter() - started), 1),
        )
    return Written(point, committed.changes, served_here)


def _check_scope(call: WriteCall, writes: Sequence[Write]) -> Generator[None, None, None]:
    for write in writes:
        if not call.identity.may_write(write.key):
            raise _forbidden(call, write.key)
        yield


def _forbidden(call: WriteCall, key: Key) -> Problem:
    identity = call.identity
    detail = f"{identity.name} may write services and boosts like {', '.join(identity.services or ())} only"
    return call.parts.authentication.forbidden(call.request, identity, f"{detail}, not {key.kind} {key.name!r}")


class Deleted(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The answer to a deletion."""

    revision: int
    uncovers_file_entry: bool | None = None
    """Whether an entry of the strategies file for the name is in force now; only for services."""


async def put(call: WriteCall, key: Key, record: Record, show: Show, *, reason: str = "") -> web.Response:
    """Write one record, with the preconditions of the headers, and answer it.

    A write that would change nothing commits nothing and answers 200 with the record as it is.
    """
    expected = expected_of(call.request, key)
    written = await commit(call, [Write(key, encode_record(record))], reason=reason, expected=expected)
    if isinstance(written, web.Response):
        return written
    stored = next((change.record for change in written.changes if change.key == key), None) or call.parts.stored(key)
    if stored is None:
        raise not_found(key, "; it was deleted meanwhile")
    return json_response(show(stored), status=written.status, etag=stored.etag)


async def delete(call: WriteCall, key: Key, *, hint: str = "", uncovers_file_entry: bool | None = None) -> web.Response:
    """Delete one record, with the preconditions of the headers.

    Raises:
        Problem: 404, with the ``hint``, for a record that the store does not have.
    """
    expected = expected_of(call.request, key)
    try:
        written = await commit(call, [Write(key, None)], expected=expected or {key: PRESENT})
    except PointMismatch:
        if expected:
            raise
        raise not_found(key, hint) from None
    if isinstance(written, web.Response):
        return written
    answer = Deleted(written.point.revision, uncovers_file_entry)
    return json_response(answer, status=written.status, etag=written.point.etag)

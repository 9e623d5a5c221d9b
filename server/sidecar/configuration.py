"""Writing and answering records: what services, policies and the default have in common."""

from collections.abc import Callable
from time import perf_counter

import msgspec
import structlog
from aiohttp import web

from sampling.records import Key, Record, Stored, encode_record
from server.follower import Follower
from server.served import Served
from server.sidecar.auth import ACTOR
from server.sidecar.errors import Problem, invalid_record
from server.sidecar.requests import expected_of, flag_of, query_of, reason_of
from storage.interface import Write

FOLLOWER = web.AppKey("follower", Follower)
SERVED = web.AppKey("served", Served)

Show = Callable[[Stored], object]

_log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode


def require_loaded(served: Served) -> None:
    """Refuse to speak of records before there are any.

    Raises:
        Problem: 503.
    """
    if served.point is None:
        raise Problem(503, "not-ready", "no configuration is loaded yet; see /actuator/health", headers={"Retry-After": "1"})


def stored_of(request: web.Request, key: Key) -> Stored | None:
    served = request.app[SERVED]
    require_loaded(served)
    return served.catalog.records(key.kind).get(key.name)


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


async def write(request: web.Request, key: Key, record: Record | None, show: Show | None, **members: object) -> web.Response:
    """Commit one record, or its deletion, and answer when it is served here: 200, or 202 when that takes long.

    A write that would change nothing commits nothing and answers 200 with the record as it is. A deletion answers its
    revision and ``members``.
    """
    query = query_of(request, "reason", "takeover")
    reason, takeover = reason_of(query), flag_of(query, "takeover")
    expected = expected_of(request, key, stored_of(request, key))
    started = perf_counter()
    try:
        committed, served_here = await request.app[FOLLOWER].commit(
            [Write(key, None if record is None else encode_record(record))],
            actor=request[ACTOR],
            reason=reason,
            expected=expected,
            takeover=takeover,
        )
    except ValueError as error:
        raise invalid_record(error) from None
    point = committed.head.point
    if committed.changes:
        _log.info(
            "the configuration was changed",
            kind=key.kind,
            name=key.name,
            deleted=record is None,
            actor=request[ACTOR],
            reason=reason,
            at=str(point),
            response_time=round(1000 * (perf_counter() - started), 1),
        )
    status = 200 if served_here else 202
    written = next((change.record for change in committed.changes if change.key == key), None)
    stored = written or stored_of(request, key)
    if record is not None and show is not None and stored is not None:
        return json_response(show(stored), status=status, etag=stored.etag)
    return json_response({"revision": point.revision, **members}, status=status, etag=point.etag)

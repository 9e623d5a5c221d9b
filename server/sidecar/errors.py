"""Every failure as ``application/problem+json`` (RFC 9457), and the one table from storage errors to statuses."""

import re
from collections.abc import Awaitable, Callable, Mapping
from itertools import islice
from typing import Any

import msgspec
import structlog
from aiohttp import web

from server.integrations.http_client import Unusable
from storage import errors as storage_errors

_log = structlog.get_logger(__name__)


class Problem(Exception):
    """Is raised by a handler for a request that fails; becomes a problem JSON."""

    def __init__(
        self, status: int, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: object
    ) -> None:
        self.status, self.kind, self.detail = status, kind, detail
        self.headers = dict(headers or {})
        self.members = members
        super().__init__(detail)


class InvalidField(Problem):
    """Is raised for a value that cannot be taken; names its field."""

    def __init__(self, field: str, message: str, status: int = 422) -> None:
        self.field, self.message = field, message
        super().__init__(status, "invalid-field", f"{field}: {message}", errors=[{"field": field, "message": message}])


STATUSES: dict[type[storage_errors.StoreError], tuple[int, str]] = {
    storage_errors.PointMismatch: (412, "point-mismatch"),
    storage_errors.OwnedByAnother: (409, "owned-by-another"),
    storage_errors.OutOfScope: (403, "forbidden"),
    storage_errors.RevisionUnknown: (404, "not-found"),
    storage_errors.OutcomeUnknown: (503, "outcome-unknown"),
    storage_errors.StoreUnavailable: (503, "store-unavailable"),
    storage_errors.StoreUnusable: (503, "store-unusable"),
    storage_errors.StoreEmpty: (503, "store-unusable"),
    storage_errors.ContentMismatch: (503, "content-mismatch"),
}
"""The one table from what a store raises to what a client of the API is told."""

RETRY_AFTER_SECONDS = "5"

SHOWN_OWNERS = 1000
"""So many records of other owners are named in one problem."""


def from_store(error: storage_errors.StoreError) -> Problem:
    """A storage error for the client."""
    status, kind = STATUSES.get(type(error), (500, "store-failed"))
    members: dict[str, object] = {}
    headers: dict[str, str] = {"Retry-After": RETRY_AFTER_SECONDS} if status == 503 else {}
    detail = str(error)
    match error:
        case storage_errors.PointMismatch(current=current):
            members["current"] = current
            if current is None:
                detail += "; to write it nevertheless, leave If-Match out"
            else:
                detail += "; read it again, and send its ETag as If-Match"
                headers["ETag"] = current
        case storage_errors.OwnedByAnother(owners=owners):
            members["managedBy"] = next(iter(owners.values()))
            members["records"] = [
                {"kind": key.kind, "name": key.name, "managedBy": owner} for key, owner in islice(owners.items(), SHOWN_OWNERS)
            ]
            detail += "; change it there, boost the service for a while, or take it over with ?takeover=true"
        case storage_errors.OutcomeUnknown(commit_id=commit_id):
            members["commitId"] = commit_id
            detail += "; read the record to see"
    return Problem(status, kind, detail, headers=headers, **members)


_PATH = re.compile(r" - at `\$\.?(?P<path>.*)`$")
_FIELD = re.compile(r"^(?P<field>[A-Za-z]+(\[\d+\])?(\.[A-Za-z]+)*): (?P<message>.*)$", re.DOTALL)
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<field>.*)`$")
_NO_INSTANT = ("Invalid RFC3339 encoded datetime", "Expected `datetime` with a timezone component")
_MISSING = re.compile(r"^Object missing required field `(?P<field>.*)`$")


def invalid_record(error: Exception, place: str = "") -> InvalidField:
    """What a record type says about a value, with the whole path of the field; ``place`` is where the record stands."""
    message, path = str(error), ""
    if found := _PATH.search(message):
        message, path = message[: found.start()], found["path"]
    field = ""
    for pattern, said in ((_UNKNOWN, "is not known; remove it"), (_MISSING, "is missing")):
        if found := pattern.match(message):
            field, message = found["field"], said
    if message in _NO_INSTANT:
        message = "must be an RFC 3339 instant with its zone, like 2026-12-01T00:00:00Z"
    if not field and (found := _FIELD.match(message)):
        field, message = found["field"], found["message"]
    whole = ".".join(part for part in (place, path, field) if part)
    return InvalidField(whole or "body", message)


@web.middleware
async def problem_middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turns whatever a handler raises into a problem JSON."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem_response(problem)
    except storage_errors.StoreError as error:
        return problem_response(from_store(error))
    except Unusable as error:
        return problem_response(Problem(502, "dependency-unusable", f"{error}; {error.cure}" if error.cure else str(error)))
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return problem_response(Problem(405, "method-not-allowed", f"this path takes {allowed}", headers={"Allow": allowed}))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        detail = f"there is nothing at {request.path}" if error.status == 404 else error.reason
        return problem_response(Problem(error.status, error.reason.lower().replace(" ", "-"), detail))
    except Exception:  # noqa: BLE001 - a defect is a 500 problem like any other
        _log.exception("a request failed through a defect", method=request.method, path=request.path)
        return problem_response(Problem(500, "internal-error", "the request failed through a defect; the log has it"))


def problem_response(problem: Problem) -> web.Response:
    """The response of a problem."""
    body: dict[str, Any] = {
        "type": f"urn:tracing-config:problem:{problem.kind}",
        "title": problem.kind.replace("-", " ").capitalize(),
        "status": problem.status,
        "detail": problem.detail,
        **problem.members,
    }
    return web.Response(
        status=problem.status,
        body=msgspec.json.encode(body),
        content_type="application/problem+json",
        headers=problem.headers,
    )

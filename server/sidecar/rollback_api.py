"""``/api/v1/config/rollback``: every record but boosts as it was at a revision, as a new revision."""

from collections.abc import Generator, Sequence
from itertools import islice
from typing import Annotated

import msgspec
from aiohttp import web

from server.sidecar.configuration import commit, json_response
from server.sidecar.dry_run import DryRun
from server.sidecar.errors import Problem, from_store
from server.sidecar.history_api import RevisionNumber
from server.sidecar.requests import WriteQuery
from server.sidecar.route import Call, Route, Routes
from storage.errors import OwnedByAnother
from storage.history import Difference
from storage.interface import Write
from storage.pacing import paced


class RollbackBody(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Where to go back to, and why."""

    revision: RevisionNumber
    reason: Annotated[str, msgspec.Meta(max_length=1024, description="Goes into the log of changes.")] = ""

    def __post_init__(self) -> None:
        if "\0" in self.reason:
            raise ValueError("reason: must not contain the character U+0000, which no database keeps")


class RolledBack(msgspec.Struct, frozen=True):
    """The answer to a rollback; the newest revision and no change where everything was so already."""

    revision: int
    point: str
    changed: int


async def rollback(call: Call[WriteQuery, RollbackBody]) -> web.Response:
    """Make every record what it was at a revision, boosts apart, as a new revision."""
    to = call.body.revision
    differences = await call.parts.log().differences(to, None)
    writes = await paced(_writes(differences.records))
    reason = call.body.reason or f"rollback to revision {to}"
    try:
        written = await commit(call, writes, reason=reason, undo_since=differences.head)
    except OwnedByAnother as error:
        raise await _owned(error) from None
    if isinstance(written, web.Response):
        return written
    point = written.point
    return json_response(RolledBack(point.revision, str(point), len(written.changes)), status=written.status, etag=point.etag)


ROUTES: Routes = [
    Route(
        method="POST",
        path="/api/v1/config/rollback",
        summary="Go back to a revision, as a new one",
        handler=rollback,
        role="editor",
        query=WriteQuery,
        body=RollbackBody,
        example={"revision": 0, "reason": "not what we meant"},
        answers={200: RolledBack | DryRun, 202: RolledBack},
    ),
]


def _writes(records: Sequence[Difference]) -> Generator[None, None, list[Write]]:
    """What undoes these differences. The default is among every revision's records, so that it is never deleted."""
    writes = []
    for difference in records:
        if difference.key.kind != "boost":
            writes.append(Write(difference.key, difference.before))
        yield
    return writes


async def _owned(error: OwnedByAnother) -> Problem:
    """The refusal that names every record of another owner, not only the first ones."""
    problem = from_store(error)
    problem.members["records"] = msgspec.Raw(await paced(_owned_records(error)))
    return problem


class _OwnedRecord(msgspec.Struct, rename="camel"):
    kind: str
    name: str
    managed_by: str


def _owned_records(error: OwnedByAnother) -> Generator[None, None, bytes]:
    """The records as a JSON list."""
    texts = []
    owners = iter(error.owners.items())
    while some := list(islice(owners, 100)):
        texts.append(msgspec.json.encode([_OwnedRecord(key.kind, key.name, owner) for key, owner in some])[1:-1])
        yield
    return b"[" + b",".join(texts) + b"]"

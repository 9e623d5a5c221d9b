"""``/api/v1/config/batch``: several writes as one revision, all or nothing."""

from collections.abc import Generator, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from aiohttp import web

from sampling.records import DEFAULT_KEY, SILENT_DEFAULT, Key, Record, SamplingPolicy, ServiceConfiguration, encode_record
from sampling.strategy import check_name
from server.sidecar.boosts_api import boost_record
from server.sidecar.configuration import commit, json_response, not_found
from server.sidecar.default_api import default_record
from server.sidecar.dry_run import DryRun
from server.sidecar.errors import InvalidField, Problem, from_store, invalid_record
from server.sidecar.parts import Parts
from server.sidecar.policies_api import check_says_something, policy_key
from server.sidecar.requests import WriteQuery, expected_tag, record_of
from server.sidecar.route import Call, Route, Routes
from server.sidecar.views import BoostBody, DefaultBody
from storage.errors import PointMismatch
from storage.interface import PRESENT, Write
from storage.pacing import paced

MAX_WRITES = 1000


class BatchWrite(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """One write of a batch."""

    kind: Literal["service", "policy", "default", "boost"]
    name: str | None = None
    """Of the record; the default has none."""

    record: dict[str, Any] | None
    """What a PUT (of a boost: a POST) takes; null deletes, or resets the default."""

    if_match: str | None = None
    """The ETag that the record must have, or ``*``: it must exist."""


class BatchBody(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The writes, of different records."""

    writes: Annotated[list[BatchWrite], msgspec.Meta(min_length=1, max_length=MAX_WRITES)]


class BatchAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """What a batch did."""

    revision: int
    point: str
    changed: int
    """How many records were not so already."""


async def post_batch(call: Call[WriteQuery, BatchBody]) -> web.Response:
    """Write several records as one revision. A bad entry is named, and then nothing is changed."""
    batch = await paced(_read(call.body.writes, call.parts))
    try:
        written = await commit(call, batch.writes, expected=batch.expected)
    except PointMismatch as error:
        raise _mismatch(error, batch, call.body.writes) from None
    if isinstance(written, web.Response):
        return written
    point = written.point
    answer = BatchAnswer(point.revision, str(point), len(written.changes))
    return json_response(answer, status=written.status, etag=point.etag)


ROUTES: Routes = [
    Route(
        method="POST",
        path="/api/v1/config/batch",
        summary="Several writes, all or nothing",
        handler=post_batch,
        role="editor",
        query=WriteQuery,
        body=BatchBody,
        example={
            "writes": [
                {"kind": "service", "name": "a", "record": {"samplingStrategy": {"type": "probabilistic", "param": 0.5}}},
                {"kind": "default", "record": None},
            ]
        },
        answers={200: BatchAnswer | DryRun, 202: BatchAnswer},
    ),
]


class _Batch(NamedTuple):
    writes: list[Write]
    expected: dict[Key, str]
    places: dict[Key, int]


def _read(entries: Sequence[BatchWrite], parts: Parts) -> Generator[None, None, _Batch]:
    """Check the entries, each as its own path would."""
    batch = _Batch([], {}, {})
    for index, entry in enumerate(entries):
        place = f"writes[{index}]"
        key = _key(entry, place)
        if (first := batch.places.setdefault(key, index)) != index:
            raise InvalidField(place, f"{_called(entry)} is written by writes[{first}] already; remove one of the two")
        try:
            record = _record(entry, f"{place}.record", parts)
        except InvalidField as error:
            if error.field.startswith(place):
                raise
            raise InvalidField(f"{place}.record.{error.field}", error.message) from None
        batch.writes.append(Write(key, None if record is None else encode_record(record)))
        if entry.if_match is not None:
            batch.expected[key] = expected_tag(entry.if_match, f"{place}.ifMatch")
        elif record is None:
            batch.expected[key] = PRESENT
        yield
    return batch


def _key(entry: BatchWrite, place: str) -> Key:
    field = f"{place}.name"
    if entry.kind == "default":
        if entry.name is not None:
            raise InvalidField(field, "there is one default only, without a name; remove it")
        return DEFAULT_KEY
    if entry.name is None:
        raise InvalidField(field, "is missing")
    try:
        check_name(field, entry.name)
        return policy_key(entry.name) if entry.kind == "policy" else Key(entry.kind, entry.name)
    except ValueError as error:
        raise invalid_record(error) from None
    except InvalidField as error:
        raise InvalidField(field, error.message) from None
    except Problem as error:
        raise InvalidField(field, f"{error.detail}, and entries of kind `default`") from None


def _record(entry: BatchWrite, place: str, parts: Parts) -> Record | None:
    """The record of an entry; None deletes it. Raises InvalidField, whose field may lack the place."""
    if entry.record is None:
        return SILENT_DEFAULT if entry.kind == "default" else None
    if entry.kind == "service":
        return record_of(entry.record, ServiceConfiguration, place)
    if entry.kind == "boost":
        return boost_record(record_of(entry.record, BoostBody, place), parts)
    if entry.kind == "default":
        return default_record(record_of(entry.record, DefaultBody, place))
    policy = record_of(entry.record, SamplingPolicy, place)
    check_says_something(policy)
    return policy


def _called(entry: BatchWrite) -> str:
    return "the default" if entry.name is None else f"{entry.kind} {entry.name!r}"


def _mismatch(error: PointMismatch, batch: _Batch, entries: Sequence[BatchWrite]) -> Problem:
    """Names the entry whose record is not as it expects."""
    index = batch.places[error.key]
    if entries[index].if_match is None:
        problem, field = not_found(error.key, ", so it cannot be deleted; remove the entry"), f"writes[{index}]"
    else:
        problem, field = from_store(error), f"writes[{index}].ifMatch"
    members = {**problem.members, "errors": [{"field": field, "message": problem.detail}]}
    return Problem(problem.status, problem.kind, f"{field}: {problem.detail}", headers=problem.headers, **members)

"""``/api/v1/config/changes`` and ``/diff``: what was changed, when, by whom and why."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from sampling.records import KINDS, Instant, Key, Kind
from sampling.strategy import check_name
from server.sidecar.configuration import json_response
from server.sidecar.errors import InvalidField
from server.sidecar.record_differences import RecordDifference, raw, shown_differences
from server.sidecar.requests import PageQuery
from server.sidecar.route import Call, Route, Routes
from storage.history import LOGGED_BYTES, LoggedChange, Wanted

Value = TypeVar("Value")

RevisionNumber = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

CommitPrefix = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]+$", max_length=64)]

InstantText = Annotated[str, msgspec.Meta(max_length=64, extra_json_schema={"format": "date-time"})]
"""An instant in a query, see ``_instant``."""


class ChangesQuery(PageQuery, frozen=True):
    """Which changes are wanted: those for which all that is given holds."""

    kind: Annotated[Kind | UnsetType, msgspec.Meta(description="Of records of this kind.")] = UNSET
    name: Annotated[str | UnsetType, msgspec.Meta(description="Of records of exactly this name.")] = UNSET
    actor: Annotated[str | UnsetType, msgspec.Meta(description="By this name of a token.")] = UNSET
    commit: Annotated[CommitPrefix | UnsetType, msgspec.Meta(description="The id of a commit, or how it begins.")] = UNSET
    revision: Annotated[RevisionNumber | UnsetType, msgspec.Meta(description="Of this revision alone.")] = UNSET
    since: Annotated[InstantText | UnsetType, msgspec.Meta(description="At this instant or later.")] = UNSET
    until: Annotated[InstantText | UnsetType, msgspec.Meta(description="Before this instant.")] = UNSET

    def __post_init__(self) -> None:
        for field, text in (("name", self.name), ("actor", self.actor)):
            if text is not UNSET:
                check_name(field, text)


class DiffQuery(PageQuery, frozen=True, kw_only=True):
    """Between which revisions, in either order."""

    from_: Annotated[RevisionNumber, msgspec.Meta(description="A revision.")] = msgspec.field(name="from")
    to: Annotated[RevisionNumber | UnsetType, msgspec.Meta(description="Another one; without it the newest.")] = UNSET


class ChangeView(msgspec.Struct, frozen=True, rename="camel"):
    """What one commit made of one record; null is: no record. An entry, which is of none, has no kind and no name."""

    revision: int
    commit_id: str
    position: int
    at: Instant
    actor: str
    reason: str
    kind: Kind | None
    name: str | None
    before: msgspec.Raw | None
    after: msgspec.Raw | None


class ChangesPage(msgspec.Struct, frozen=True, rename="camel"):
    """Some changes, the newest first."""

    changes: Sequence[ChangeView]
    next_cursor: str | None
    """For the next page; null on the last."""


class DiffPage(msgspec.Struct, frozen=True, rename="camel"):
    """Some of the records that are not the same at two revisions, by kind and name."""

    from_: int = msgspec.field(name="from")
    to: int
    records: Sequence[RecordDifference]
    record_count: int
    """On all pages."""

    next_cursor: str | None
    """For the next page; null on the last."""


async def list_changes(call: Call[ChangesQuery, None]) -> web.Response:
    """The log of changes, the newest first, a page at a time. What comes meanwhile does not shift the pages."""
    query = call.query
    wanted = Wanted(
        kind=_given(query.kind),
        name=_given(query.name),
        actor=_given(query.actor),
        commit_id=_given(query.commit),
        revision=_given(query.revision),
        since=_instant("since", query.since),
        until=_instant("until", query.until),
        older_than=_older_than(query.cursor),
    )
    changes = await call.parts.log().logged(wanted, query.limit + 1)
    shown = changes[: query.limit]
    is_cut = len(changes) > query.limit or sum(change.size for change in changes) > LOGGED_BYTES
    more = f"{shown[-1].revision.revision}.{shown[-1].position}" if is_cut else None
    return json_response(ChangesPage([_change_view(change) for change in shown], more))


async def diff(call: Call[DiffQuery, None]) -> web.Response:
    """The records that are not the same at two revisions, a page at a time.

    Without `to` it is up to the newest; send the answer's `to` with the next page, so that all pages tell of the same two.
    """
    query = call.query
    after = _after(query.cursor)
    differences = await call.parts.log().differences(query.from_, _given(query.to))
    records = differences.records
    start = 0 if after is None else bisect_right(records, after, key=lambda difference: difference.key)
    shown = shown_differences(records[start : start + query.limit])
    more = f"{shown[-1].kind}:{shown[-1].name}" if start + len(shown) < len(records) else None
    to = differences.head.revision if query.to is UNSET else query.to
    return json_response(DiffPage(query.from_, to, shown, len(records), more))


ROUTES: Routes = [
    Route(
        method="GET",
        path="/api/v1/config/changes",
        summary="The log of changes, the newest first",
        handler=list_changes,
        role="viewer",
        query=ChangesQuery,
        answers={200: ChangesPage},
    ),
    Route(
        method="GET",
        path="/api/v1/config/diff",
        summary="What differs between two revisions",
        handler=diff,
        role="viewer",
        query=DiffQuery,
        answers={200: DiffPage},
    ),
]


def _change_view(change: LoggedChange) -> ChangeView:
    revision, key = change.revision, change.key
    return ChangeView(
        revision=revision.revision,
        commit_id=revision.commit_id,
        position=change.position,
        at=revision.at,
        actor=revision.actor,
        reason=revision.reason,
        kind=None if key is None else key.kind,
        name=None if key is None else key.name,
        before=raw(change.before),
        after=raw(change.after),
    )


def _given(value: Value | UnsetType) -> Value | None:
    return None if value is UNSET else value


_SPACE_FOR_PLUS = re.compile(r" (?=\d\d:\d\d$)")


def _instant(field: str, text: str | UnsetType) -> datetime | None:
    """An instant in a query, in UTC. A bare ``+`` in a query is a space; before an offset nothing else can be meant.

    Raises:
        InvalidField: 400.
    """
    if text is UNSET:
        return None
    try:
        return msgspec.convert(_SPACE_FOR_PLUS.sub("+", text), Instant).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        example = "2026-11-24T09:00:00Z or 2026-11-24T10:00:00%2B01:00 (a plus is %2B in a query)"
        raise InvalidField(field, f"must be an RFC 3339 instant with its zone, like {example}", 400) from None


_CHANGE = re.compile(r"^([0-9]{1,18})\.([0-9]{1,9})$")


def _older_than(cursor: str) -> tuple[int, int] | None:
    """The revision and position in a cursor. Raises InvalidField."""
    if not cursor:
        return None
    found = _CHANGE.match(cursor)
    if found is None:
        raise InvalidField("cursor", "must be the nextCursor of the page before, like 121.0", 400)
    return int(found[1]), int(found[2])


def _after(cursor: str) -> Key | None:
    """The key in a cursor. Raises InvalidField."""
    if not cursor:
        return None
    kind, colon, name = cursor.partition(":")
    if kind not in KINDS or not colon:
        raise InvalidField("cursor", "must be the nextCursor of the page before, like service:checkout", 400)
    return Key(kind, name)

"""``/api/v1/config/boosts``: another answer for one service, for a while."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from time import time
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from sampling.records import Boost, Instant, Key
from sampling.strategy import check_name
from server.sidecar.configuration import Deleted, delete, json_response, not_found, put
from server.sidecar.dry_run import DryRun
from server.sidecar.duration import duration_seconds
from server.sidecar.errors import InvalidField, invalid_record
from server.sidecar.pages import Facts, Listed, NameQuery, page
from server.sidecar.parts import Parts
from server.sidecar.requests import WriteQuery
from server.sidecar.route import Call, Route, Routes
from server.sidecar.views import BoostBody, BoostView, NewBoost, boost_view

LONGEST_DAYS = 30
LONGEST_SECONDS = LONGEST_DAYS * 86_400
_FOR_LONGER = f"a boost lasts at most {LONGEST_DAYS} days; for longer write a policy whose pattern is this name, with an endsAt"


class BoostsQuery(NameQuery, frozen=True):
    """Which boosts are listed: those for which all that is given holds."""

    type: Annotated[Literal["probabilistic", "ratelimiting"] | UnsetType, msgspec.Meta(description="Of the strategy.")] = UNSET
    active: Annotated[bool | UnsetType, msgspec.Meta(description="Whether it has not ended yet.")] = UNSET


class BoostsPage(msgspec.Struct, frozen=True, rename="camel"):
    """Some boosts by service."""

    boosts: Sequence[BoostView]
    next_cursor: str | None
    """For the next page; null on the last."""

    revision: int


async def list_boosts(call: Call[BoostsQuery, None]) -> web.Response:
    """Boosts by service, a page at a time; also those that have ended, until they are deleted or replaced."""
    query = call.query

    def holds(facts: Facts) -> bool:
        active = facts.ends_at is not None and call.parts.served.catalog.instant < facts.ends_at.timestamp()
        return (query.type is UNSET or facts.type == query.type) and (query.active is UNSET or active == query.active)

    filtered = query.type is not UNSET or query.active is not UNSET
    names = await call.parts.served.names("boost")
    listed = Listed(lambda catalog: catalog.records("boost").get, boost_view)
    found = await page(call.parts, query, [names], listed, holds if filtered else None)
    return json_response(BoostsPage(found.views, found.next_cursor, found.revision))


async def get_boost(call: Call[None, None]) -> web.Response:
    """One boost. It is answered whole even to who has it: ``active`` changes without a write."""
    key = Key("boost", call.name("service"))
    catalog, _ = call.parts.loaded()
    stored = call.parts.stored(key)
    if stored is None:
        raise not_found(key)
    return json_response(boost_view(catalog, key.name, stored), etag=stored.etag)


async def post_boost(call: Call[WriteQuery, NewBoost]) -> web.Response:
    """Boost a service, whoever manages its record. A second boost replaces the first."""
    name, served = call.body.service, call.parts.served
    try:
        check_name("service", name)
    except ValueError as error:
        raise invalid_record(error) from None
    record = boost_record(call.body, call.parts)
    key = Key("boost", name)
    return await put(call, key, record, lambda stored: boost_view(served.catalog, name, stored), reason=record.reason)


async def delete_boost(call: Call[WriteQuery, None]) -> web.Response:
    """End a boost at once."""
    return await delete(call, Key("boost", call.name("service")))


ROUTES: Routes = [
    Route(
        method="GET",
        path="/api/v1/config/boosts",
        summary="List boosts",
        handler=list_boosts,
        role="viewer",
        query=BoostsQuery,
        answers={200: BoostsPage},
    ),
    Route(
        method="POST",
        path="/api/v1/config/boosts",
        summary="Boost a service for a while",
        handler=post_boost,
        role="editor",
        query=WriteQuery,
        preconditions=True,
        body=NewBoost,
        example={
            "service": "checkout",
            "samplingStrategy": {"type": "probabilistic", "param": 1},
            "duration": "30m",
            "reason": "incident 4711",
        },
        answers={200: BoostView | DryRun, 202: BoostView},
    ),
    Route(
        method="GET",
        path="/api/v1/config/boosts/{service}",
        summary="One boost",
        handler=get_boost,
        role="viewer",
        answers={200: BoostView},
    ),
    Route(
        method="DELETE",
        path="/api/v1/config/boosts/{service}",
        summary="End a boost",
        handler=delete_boost,
        role="editor",
        query=WriteQuery,
        preconditions=True,
        answers={200: Deleted | DryRun, 202: Deleted},
    ),
]


def boost_record(body: BoostBody, parts: Parts) -> Boost:
    """The record of a boost as it was sent; a duration counts from now, by the store's clock.

    Raises:
        InvalidField: naming the field and the cure.
    """
    try:
        return Boost(
            _end(body, time() + parts.follower.store.clock_offset),
            sampling_strategy=body.sampling_strategy,
            operation_strategies=body.operation_strategies,
            reason=body.reason,
        )
    except ValueError as error:
        raise invalid_record(error) from None


def _end(body: BoostBody, now: float) -> Instant:
    latest = _after(now, LONGEST_SECONDS)
    if body.duration is not None:
        if body.ends_at is not None:
            raise InvalidField("duration", "is given beside endsAt; remove one of the two")
        try:
            seconds = duration_seconds(body.duration)
        except ValueError as error:
            raise InvalidField("duration", str(error)) from None
        if seconds > LONGEST_SECONDS:
            raise InvalidField("duration", _FOR_LONGER)
        return _after(now, seconds)
    if body.ends_at is None:
        raise InvalidField("duration", "is missing; say how long with duration (like `30m`), or until when with endsAt")
    if body.ends_at.timestamp() <= now:
        raise InvalidField("endsAt", f"is in the past; by the store's clock it is {_after(now, 0):%Y-%m-%dT%H:%M:%SZ}")
    if body.ends_at > latest:
        raise InvalidField("endsAt", _FOR_LONGER)
    return body.ends_at


def _after(now: float, seconds: int) -> datetime:
    """The first whole second that is at least so long after now."""
    return datetime.fromtimestamp(math.ceil(now + seconds), UTC)

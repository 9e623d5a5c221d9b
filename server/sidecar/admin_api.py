"""``/api/v1/admin``: rebuild what is served, look whether all is well, change over to another store."""

from collections.abc import Mapping
from time import perf_counter
from typing import Annotated, Any

import msgspec
import structlog
from aiohttp import web

from sampling.records import KINDS
from server.followed_store import AnotherStore, NothingToAccept
from server.sidecar.configuration import json_response
from server.sidecar.errors import Problem
from server.sidecar.route import Call, Route, Routes
from server.validation_report import Report
from storage.interface import Point

_log = structlog.get_logger(__name__)


class Refreshed(msgspec.Struct, frozen=True):
    """Everything was loaded from the store, and the copies were written."""

    revision: int
    point: str
    records: int
    milliseconds: float
    copies: Mapping[str, str]
    """By name: ``written``, or why not."""


class StoreToAccept(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The store that took the place of the followed one."""

    store_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None
    """As health tells it; null: the empty database, which is filled."""


class Accepted(msgspec.Struct, frozen=True, rename="camel"):
    """What is served now."""

    store_id: str
    revision: int
    point: str
    records: int


async def refresh(call: Call[None, None]) -> web.Response:
    """Load everything from the store, serve it, and write the copies, also where nothing has changed."""
    started = perf_counter()
    await call.parts.follower.refresh()
    point, records = _served(call)
    problems = {name: await keeper.rewrite() for name, keeper in call.parts.keepers.items()}
    copies = {name: problem or "written" for name, problem in problems.items()}
    milliseconds = round(1000 * (perf_counter() - started), 1)
    _log.info("everything was loaded anew", actor=call.identity.name, at=str(point), records=records, copies=copies)
    return json_response(Refreshed(point.revision, str(point), records, milliseconds, copies))


async def validate(call: Call[None, None]) -> web.Response:
    """Compare the store with its log, with what is served and with the copies, at one revision. Changes nothing."""
    return json_response(await call.parts.validation.run())


async def accept_store(call: Call[None, StoreToAccept]) -> web.Response:
    """Follow another store in place of the followed one, on every replica. 409 `nothing-to-accept` while there is none."""
    try:
        await call.parts.follower.accept(call.body.store_id)
    except NothingToAccept as error:
        raise Problem(409, "nothing-to-accept", str(error)) from None
    except AnotherStore as error:
        raise Problem(409, "another-store", str(error), storeId=error.found, servedStoreId=error.served) from None
    point, records = _served(call)
    _log.warning("another store was accepted", actor=call.identity.name, store=point.store_id, at=str(point), records=records)
    return json_response(Accepted(point.store_id, point.revision, str(point), records))


ROUTES: Routes = [
    Route(
        method="POST",
        path="/api/v1/admin/cache/refresh",
        summary="Rebuild what is served from the store, and write the copies",
        handler=refresh,
        role="admin",
        answers={200: Refreshed},
    ),
    Route(
        method="GET",
        path="/api/v1/admin/config/validate",
        summary="Whether store, log, copies and what is served agree",
        handler=validate,
        role="admin",
        answers={200: Report},
    ),
    Route(
        method="POST",
        path="/api/v1/admin/store/accept",
        summary="Follow another store in place of the followed one",
        handler=accept_store,
        role="admin",
        body=StoreToAccept,
        example={"storeId": None},
        answers={200: Accepted},
    ),
]


def _served(call: Call[None, Any]) -> tuple[Point, int]:
    catalog, point = call.parts.loaded()
    return point, sum(len(catalog.records(kind)) for kind in KINDS)

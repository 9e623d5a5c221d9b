"""``/api/v1/admin/traces/cleanup``: old traces go."""

from typing import Annotated

import msgspec
from aiohttp import web

from server.integrations.trace_cleanup import AlreadyRunning, Cleanup
from server.settings import PREFIX
from server.sidecar.configuration import json_response
from server.sidecar.errors import Problem
from server.sidecar.requests import Query
from server.sidecar.route import Call, Route, Routes


class CleanupQuery(Query, frozen=True, kw_only=True):
    """What is old."""

    days: Annotated[int, msgspec.Meta(ge=1, le=36500, description="Traces of so many days stay, beside those of today.")]
    reason: Annotated[str, msgspec.Meta(max_length=1024, description="Goes into the log of changes.")] = ""
    dry_run: Annotated[bool, msgspec.Meta(description="Remove nothing; answer what would be removed.")] = False

    def __post_init__(self) -> None:
        if "\0" in self.reason:
            raise ValueError("reason: must not contain the character U+0000, which no database keeps")


async def clean_up(call: Call[CleanupQuery, None]) -> web.Response:
    """Remove the daily indices of Jaeger and Zipkin that are older, in Elasticsearch or OpenSearch.

    All else stays and is named with the reason. 502 `cleanup-incomplete` has the same members, and tells what failed.
    """
    cleanup, query = call.parts.cleanup, call.query
    if cleanup is None:
        detail = (
            f"no setting says where traces are: set {PREFIX}ELASTICSEARCH_URL to the address of Elasticsearch or OpenSearch"
        )
        raise Problem(409, "not-configured", detail)
    if query.dry_run:
        return json_response(await cleanup.look(query.days))
    try:
        done = await cleanup.run(query.days, actor=call.identity.name, reason=query.reason)
    except AlreadyRunning:
        raise Problem(409, "already-running", "a cleanup runs already, here or on another replica; try again later") from None
    if done.failed:
        detail = f"{done.failed[0].index} could not be removed: {done.failed[0].reason}"
        raise Problem(502, "cleanup-incomplete", detail, **msgspec.to_builtins(done))
    return json_response(done)


ROUTES: Routes = [
    Route(
        method="DELETE",
        path="/api/v1/admin/traces/cleanup",
        summary="Remove old traces in Elasticsearch or OpenSearch",
        handler=clean_up,
        role="admin",
        query=CleanupQuery,
        answers={200: Cleanup},
    ),
]

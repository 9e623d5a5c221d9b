"""``/api/v1/config/default``: what a service gets where nothing else speaks for it."""

from aiohttp import web

from sampling.records import DEFAULT_KEY, SILENT_DEFAULT, Record, SamplingPolicy
from server.sidecar.configuration import WriteCall, not_found, put, shown
from server.sidecar.dry_run import DryRun
from server.sidecar.errors import invalid_record
from server.sidecar.policies_api import check_says_something
from server.sidecar.requests import WriteQuery
from server.sidecar.route import Call, Route, Routes
from server.sidecar.views import DefaultBody, DefaultView, default_view


async def get_default(call: Call[None, None]) -> web.Response:
    catalog, _ = call.parts.loaded()
    stored = call.parts.stored(DEFAULT_KEY)
    if stored is None:
        raise not_found(DEFAULT_KEY)
    return shown(call.request, stored, lambda stored: default_view(catalog, stored))


async def put_default(call: Call[WriteQuery, DefaultBody]) -> web.Response:
    return await _put(call, default_record(call.body))


async def reset_default(call: Call[WriteQuery, None]) -> web.Response:
    """Make the default silent again: the strategies file's default, else 0.001, is what is left."""
    return await _put(call, SILENT_DEFAULT)


ROUTES: Routes = [
    Route(
        method="GET",
        path="/api/v1/config/default",
        summary="The default",
        handler=get_default,
        role="viewer",
        answers={200: DefaultView, 304: None},
    ),
    Route(
        method="PUT",
        path="/api/v1/config/default",
        summary="Write the default",
        handler=put_default,
        role="editor",
        preconditions=True,
        query=WriteQuery,
        body=DefaultBody,
        example={"samplingStrategy": {"type": "probabilistic", "param": 0.01}},
        answers={200: DefaultView | DryRun, 202: DefaultView},
    ),
    Route(
        method="DELETE",
        path="/api/v1/config/default",
        summary="Reset the default: it says nothing any more",
        handler=reset_default,
        role="editor",
        preconditions=True,
        query=WriteQuery,
        answers={200: DefaultView | DryRun, 202: DefaultView},
    ),
]


async def _put(call: WriteCall, record: Record) -> web.Response:
    served = call.parts.served
    return await put(call, DEFAULT_KEY, record, lambda stored: default_view(served.catalog, stored))


def default_record(body: DefaultBody) -> SamplingPolicy:
    """The record of a default as it was sent. Raises InvalidField for one without any rule, or whose rules cannot be."""
    try:
        record = SamplingPolicy(
            SILENT_DEFAULT.service_pattern,
            sampling_strategy=body.sampling_strategy,
            operation_strategies=body.operation_strategies,
            description=body.description,
        )
    except ValueError as error:
        raise invalid_record(error) from None
    check_says_something(record)
    return record

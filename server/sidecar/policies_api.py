"""``/api/v1/config/policies``: rules for many services at once."""

from collections.abc import Sequence

import msgspec
from aiohttp import web

from sampling.catalog import Catalog
from sampling.records import DEFAULT_POLICY, Key, SamplingPolicy
from server.sidecar.configuration import Deleted, delete, json_response, not_found, put, shown
from server.sidecar.dry_run import DryRun
from server.sidecar.errors import InvalidField, Problem
from server.sidecar.pages import Find, Listed, RecordsQuery, page, record_filter
from server.sidecar.requests import WriteQuery
from server.sidecar.route import Call, Route, Routes
from server.sidecar.views import PolicyView, policy_view
from storage.rows import BOOST_PREFIX


class PoliciesPage(msgspec.Struct, frozen=True, rename="camel"):
    """Some policies by name, without the default."""

    policies: Sequence[PolicyView]
    next_cursor: str | None
    """For the next page; null on the last."""

    revision: int


async def list_policies(call: Call[RecordsQuery, None]) -> web.Response:
    """Policies by name, a page at a time."""
    names = await call.parts.served.names("policy")
    listed = Listed(_find, lambda _, name, stored: policy_view(name, stored))
    found = await page(call.parts, call.query, [names], listed, record_filter(call.query))
    return json_response(PoliciesPage(found.views, found.next_cursor, found.revision))


async def get_policy(call: Call[None, None]) -> web.Response:
    key = policy_key(call.name("name"))
    stored = call.parts.stored(key)
    if stored is None:
        raise not_found(key)
    return shown(call.request, stored, lambda stored: policy_view(key.name, stored))


async def put_policy(call: Call[WriteQuery, SamplingPolicy]) -> web.Response:
    key = policy_key(call.name("name"))
    check_says_something(call.body)
    return await put(call, key, call.body, lambda stored: policy_view(key.name, stored))


async def delete_policy(call: Call[WriteQuery, None]) -> web.Response:
    return await delete(call, policy_key(call.name("name")))


ROUTES: Routes = [
    Route(
        method="GET",
        path="/api/v1/config/policies",
        summary="List policies",
        handler=list_policies,
        role="viewer",
        query=RecordsQuery,
        answers={200: PoliciesPage},
    ),
    Route(
        method="GET",
        path="/api/v1/config/policies/{name}",
        summary="One policy",
        handler=get_policy,
        role="viewer",
        answers={200: PolicyView, 304: None},
    ),
    Route(
        method="PUT",
        path="/api/v1/config/policies/{name}",
        summary="Write a policy",
        handler=put_policy,
        role="editor",
        preconditions=True,
        query=WriteQuery,
        body=SamplingPolicy,
        example={"servicePattern": "batch-*", "priority": 10, "samplingStrategy": {"type": "ratelimiting", "param": 5}},
        answers={200: PolicyView | DryRun, 202: PolicyView},
    ),
    Route(
        method="DELETE",
        path="/api/v1/config/policies/{name}",
        summary="Delete a policy",
        handler=delete_policy,
        role="editor",
        preconditions=True,
        query=WriteQuery,
        answers={200: Deleted | DryRun, 202: Deleted},
    ),
]


def policy_key(name: str) -> Key:
    """The key of a policy.

    Raises:
        Problem: the name is kept for something else.
    """
    if name == DEFAULT_POLICY:
        raise Problem(409, "default-policy", "the default has a path of its own: /api/v1/config/default")
    if name.startswith(BOOST_PREFIX):
        raise InvalidField("name", f"names that start with `{BOOST_PREFIX}` are kept for boosts; choose another")
    return Key("policy", name)


def _find(catalog: Catalog) -> Find:
    policies = catalog.records("policy")
    return lambda name: None if name == DEFAULT_POLICY else policies.get(name)


def check_says_something(record: SamplingPolicy) -> None:
    """Refuse a policy without any rule. Raises InvalidField."""
    if record.sampling_strategy is None and not record.operation_strategies:
        raise InvalidField("samplingStrategy", "is missing; give a samplingStrategy, operationStrategies or both")

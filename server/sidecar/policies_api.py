"""``/api/v1/config/policies`` and ``/api/v1/config/default``: rules for many services at once."""

from aiohttp import web

from sampling.records import DEFAULT_POLICY, SILENT_DEFAULT, Key, SamplingPolicy
from server.sidecar.configuration import SERVED, json_response, not_found, require_loaded, shown, stored_of, write
from server.sidecar.errors import InvalidField, Problem
from server.sidecar.requests import limit_of, name_in_path, query_of, read_record
from server.sidecar.views import default_view, policy_view

DEFAULT = Key("policy", DEFAULT_POLICY)


def routes() -> list[web.RouteDef]:
    return [
        web.get("/api/v1/config/policies", list_policies),
        web.get("/api/v1/config/policies/{name}", get_policy, allow_head=False),
        web.put("/api/v1/config/policies/{name}", put_policy),
        web.delete("/api/v1/config/policies/{name}", delete_policy),
        web.get("/api/v1/config/default", get_default, allow_head=False),
        web.put("/api/v1/config/default", put_default),
        web.delete("/api/v1/config/default", reset_default),
    ]


async def list_policies(request: web.Request) -> web.Response:
    """Policies by name, a page at a time, without the default; ``nextCursor`` is null on the last."""
    query = query_of(request, "limit", "cursor")
    limit, after = limit_of(query), query.get("cursor", "")
    served = request.app[SERVED]
    require_loaded(served)
    policies = served.catalog.records("policy")
    names = sorted(name for name in policies if name != DEFAULT_POLICY and name > after)
    views = [policy_view(name, policies[name]) for name in names[:limit]]
    more = names[limit - 1] if len(names) > limit else None
    return json_response({"policies": views, "nextCursor": more, "revision": served.point and served.point.revision})


async def get_policy(request: web.Request) -> web.Response:
    query_of(request)
    key = _policy_key(request)
    stored = stored_of(request, key)
    if stored is None:
        raise not_found(key)
    return shown(request, stored, lambda stored: policy_view(key.name, stored))


async def put_policy(request: web.Request) -> web.Response:
    key = _policy_key(request)
    record = await read_record(request, SamplingPolicy)
    _check_says_something(record)
    return await write(request, key, record, lambda stored: policy_view(key.name, stored))


async def delete_policy(request: web.Request) -> web.Response:
    key = _policy_key(request)
    if stored_of(request, key) is None:
        raise not_found(key)
    return await write(request, key, None, None)


async def get_default(request: web.Request) -> web.Response:
    query_of(request)
    stored = stored_of(request, DEFAULT)
    if stored is None:
        raise not_found(DEFAULT)
    return shown(request, stored, lambda stored: default_view(request.app[SERVED], stored))


async def put_default(request: web.Request) -> web.Response:
    record = await read_record(request, SamplingPolicy, servicePattern=SILENT_DEFAULT.service_pattern)
    for field, given in (("priority", record.priority), ("startsAt", record.starts_at), ("endsAt", record.ends_at)):
        if given:
            raise InvalidField(field, "the default stands below all policies and always; remove it")
    if not record.enabled:
        raise InvalidField("enabled", "the default is reset by DELETE; remove it")
    _check_says_something(record)
    served = request.app[SERVED]
    return await write(request, DEFAULT, record, lambda stored: default_view(served, stored))


async def reset_default(request: web.Request) -> web.Response:
    """Make the default silent again: the strategies file's default, else 0.001, is what is left."""
    served = request.app[SERVED]
    return await write(request, DEFAULT, SILENT_DEFAULT, lambda stored: default_view(served, stored))


def _policy_key(request: web.Request) -> Key:
    name = name_in_path(request, "name")
    if name == DEFAULT_POLICY:
        raise Problem(409, "default-policy", "the default has a path of its own: /api/v1/config/default")
    if name.startswith("boost:"):
        raise InvalidField("name", "names that start with `boost:` are kept for boosts; choose another")
    return Key("policy", name)


def _check_says_something(record: SamplingPolicy) -> None:
    if record.sampling_strategy is None and not record.operation_strategies:
        raise InvalidField("samplingStrategy", "is missing; give a samplingStrategy, operationStrategies or both")

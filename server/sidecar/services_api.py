"""``/api/v1/config/services``: the configuration of single services."""

from collections.abc import Generator
from heapq import nsmallest
from itertools import islice

import msgspec
from aiohttp import web

from sampling.catalog import Catalog
from sampling.records import Key, Rules, ServiceConfiguration
from server.sidecar.configuration import SERVED, json_response, not_found, require_loaded, shown, stored_of, write
from server.sidecar.requests import limit_of, name_in_path, query_of, read_record
from server.sidecar.views import ServiceView, file_entry_view, service_view
from storage.pacing import paced


def routes() -> list[web.RouteDef]:
    return [
        web.get("/api/v1/config/services", list_services),
        web.get("/api/v1/config/services/{name}", get_service, allow_head=False),
        web.put("/api/v1/config/services/{name}", put_service),
        web.delete("/api/v1/config/services/{name}", delete_service),
    ]


async def list_services(request: web.Request) -> web.Response:
    """Records and entries of the strategies file by name, a page at a time; ``nextCursor`` is null on the last."""
    query = query_of(request, "limit", "cursor")
    limit, after = limit_of(query), query.get("cursor")
    served = request.app[SERVED]
    require_loaded(served)
    catalog = served.catalog
    names = await paced(_page(catalog, after, limit + 1))
    views = [_view(request, catalog, name) for name in names[:limit]]
    more = names[limit - 1] if len(names) > limit else None
    return json_response({"services": views, "nextCursor": more, "revision": served.point and served.point.revision})


async def get_service(request: web.Request) -> web.Response:
    query_of(request)
    name = name_in_path(request, "service")
    stored = stored_of(request, Key("service", name))
    if stored is not None:
        return shown(request, stored, lambda stored: service_view(request.app[SERVED], name, stored))
    catalog = request.app[SERVED].catalog
    if name in catalog.file.services:
        return json_response(_view(request, catalog, name))
    raise not_found(Key("service", name), "; it gets what policies and the default say")


async def put_service(request: web.Request) -> web.Response:
    name = name_in_path(request, "service")
    record = await read_record(request, ServiceConfiguration)
    served = request.app[SERVED]
    return await write(request, Key("service", name), record, lambda stored: service_view(served, name, stored))


async def delete_service(request: web.Request) -> web.Response:
    """Delete the record. An entry of the strategies file for the name is uncovered by that, and the answer says so."""
    name = name_in_path(request, "service")
    key = Key("service", name)
    in_file = name in request.app[SERVED].catalog.file.services
    if stored_of(request, key) is None:
        raise not_found(key, "; its entry stands in the strategies file" if in_file else "")
    return await write(request, key, None, None, uncoversFileEntry=in_file)


def _view(request: web.Request, catalog: Catalog, name: str) -> ServiceView:
    stored = catalog.records("service").get(name)
    if stored is not None:
        return service_view(request.app[SERVED], name, stored)
    return file_entry_view(name, msgspec.json.decode(catalog.file.services[name], type=Rules))


def _page(catalog: Catalog, after: str | None, count: int) -> Generator[None, None, list[str]]:
    """The first ``count`` names after ``after``, of records and file entries."""
    first: list[str] = []
    records, entries = catalog.records("service"), catalog.file.services
    # Copies of the names: a change between two slices must not disturb the walk.
    for names in (iter(list(records)), iter(list(entries))):
        while some := list(islice(names, 1000)):
            later = {name for name in some if after is None or name > after}
            first = nsmallest(count, later.union(first))
            yield
    return first

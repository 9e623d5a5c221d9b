"""``/api/v1/config/services``: the configuration of single services."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from sampling.catalog import Catalog
from sampling.records import Key, Rules, ServiceConfiguration, Stored
from server.sidecar.configuration import Deleted, delete, json_response, not_found, put, shown
from server.sidecar.dry_run import DryRun
from server.sidecar.pages import Find, Listed, RecordsQuery, page, record_filter
from server.sidecar.requests import WriteQuery
from server.sidecar.route import Call, Route, Routes
from server.sidecar.views import ServiceView, file_entry_view, service_view


class ServicesQuery(RecordsQuery, frozen=True):
    """Which services are listed: those for which all that is given holds."""

    source: Annotated[
        Literal["record", "file"] | UnsetType,
        msgspec.Meta(description="Records, or entries of the strategies file that no record covers."),
    ] = UNSET


class ServicesPage(msgspec.Struct, frozen=True, rename="camel"):
    """Some services by name."""

    services: Sequence[ServiceView]
    next_cursor: str | None
    """For the next page; null on the last."""

    revision: int


async def list_services(call: Call[ServicesQuery, None]) -> web.Response:
    """Records and entries of the strategies file by name, a page at a time. An entry is enabled, and nobody manages it."""
    query = call.query

    def find(catalog: Catalog) -> Find:
        records, entries = catalog.records("service"), catalog.file.services

        def find(name: str) -> Stored | None:
            stored = records.get(name)
            if stored is not None:
                return None if query.source == "file" else stored
            entry = None if query.source == "record" else entries.get(name)
            return None if entry is None else Stored(0, _NO_COMMIT, entry)

        return find

    catalog, _ = call.parts.loaded()
    names = [await call.parts.served.names("service"), catalog.file.services]
    found = await page(call.parts, query, names, Listed(find, _view), record_filter(query))
    return json_response(ServicesPage(found.views, found.next_cursor, found.revision))


async def get_service(call: Call[None, None]) -> web.Response:
    name = call.name("service")
    catalog, _ = call.parts.loaded()
    stored = catalog.records("service").get(name)
    if stored is not None:
        return shown(call.request, stored, lambda stored: service_view(catalog, name, stored))
    entry = catalog.file.services.get(name)
    if entry is not None:
        return json_response(_entry_view(name, entry))
    raise not_found(Key("service", name), "; it gets what policies and the default say")


async def put_service(call: Call[WriteQuery, ServiceConfiguration]) -> web.Response:
    name = call.name("service")
    served = call.parts.served
    return await put(call, Key("service", name), call.body, lambda stored: service_view(served.catalog, name, stored))


async def delete_service(call: Call[WriteQuery, None]) -> web.Response:
    """Delete the record. An entry of the strategies file for the name is uncovered by that, and the answer says so."""
    key = Key("service", call.name("service"))
    catalog, _ = call.parts.loaded()
    in_file = key.name in catalog.file.services
    hint = "; its entry stands in the strategies file" if in_file else ""
    return await delete(call, key, hint=hint, uncovers_file_entry=in_file)


ROUTES: Routes = [
    Route(
        method="GET",
        path="/api/v1/config/services",
        summary="List services: records and entries of the strategies file",
        handler=list_services,
        role="viewer",
        query=ServicesQuery,
        answers={200: ServicesPage},
    ),
    Route(
        method="GET",
        path="/api/v1/config/services/{service}",
        summary="One service",
        handler=get_service,
        role="viewer",
        answers={200: ServiceView, 304: None},
    ),
    Route(
        method="PUT",
        path="/api/v1/config/services/{service}",
        summary="Write the configuration of a service",
        handler=put_service,
        role="editor",
        preconditions=True,
        query=WriteQuery,
        body=ServiceConfiguration,
        example={
            "samplingStrategy": {"type": "probabilistic", "param": 0.05},
            "operationStrategies": [{"operation": "GET /health", "param": 0}],
        },
        answers={200: ServiceView | DryRun, 202: ServiceView},
    ),
    Route(
        method="DELETE",
        path="/api/v1/config/services/{service}",
        summary="Delete the configuration of a service",
        handler=delete_service,
        role="editor",
        preconditions=True,
        query=WriteQuery,
        answers={200: Deleted | DryRun, 202: Deleted},
    ),
]


_NO_COMMIT = ""
"""In place of the commit of a record: it is an entry of the strategies file."""


def _view(catalog: Catalog, name: str, stored: Stored) -> ServiceView:
    return _entry_view(name, stored.body) if stored.commit_id == _NO_COMMIT else service_view(catalog, name, stored)


def _entry_view(name: str, entry: bytes) -> ServiceView:
    return file_entry_view(name, msgspec.json.decode(entry, type=Rules))

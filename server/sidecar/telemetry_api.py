"""``/api/v1/config/services/{service}/telemetry``: what a service needs at its start."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from sampling.layers import strategy_of
from sampling.records import Key
from sampling.strategy import check_name
from server.environment_lines import environment_lines
from server.service_environment import service_environment
from server.settings import PREFIX
from server.sidecar.configuration import json_response
from server.sidecar.errors import InvalidField, invalid_record
from server.sidecar.explain_api import polled_name
from server.sidecar.host import host_of
from server.sidecar.requests import Query
from server.sidecar.route import Call, Route, Routes, Text


class TelemetryView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What a service needs at its start."""

    service: str
    revision: int
    point: str
    environment: Mapping[str, str]
    """OpenTelemetry's variables."""

    warnings: Sequence[str]
    """What is left out, and which setting or field mends it."""


class TelemetryQuery(Query, frozen=True):
    """In which form."""

    format: Annotated[
        Literal["json", "env"], msgspec.Meta(description="`env`: lines `NAME=VALUE`, with the warnings as comments.")
    ] = "json"


async def telemetry(call: Call[TelemetryQuery, None]) -> web.Response:
    """For any name that a record can have, configured or not: who samples it, and where its spans go."""
    name = _name(call.request)
    catalog, point = call.parts.loaded()
    record = catalog.service(name)
    found = service_environment(
        name,
        strategy_of(catalog.layers(name)).strategy,
        None if record is None else record.export_config,
        _poll_url(call),
        call.parts.settings,
    )
    warnings = list(found.warnings)
    if Key("service", name) in catalog.problems:
        warnings.append("the record of the service cannot be read, so it says nothing; GET it to see why, and write it again")
    if call.query.format == "env":
        return _lines(found.variables, warnings)
    view = TelemetryView(
        service=name, revision=point.revision, point=str(point), environment=found.variables, warnings=warnings
    )
    return json_response(view)


ROUTES: Routes = [
    Route(
        method="GET",
        path="/api/v1/config/services/{service}/telemetry",
        summary="What a service needs at its start",
        handler=telemetry,
        role="viewer",
        query=TelemetryQuery,
        answers={200: (TelemetryView, Text("text/plain"))},
    ),
]


def _name(request: web.Request) -> str:
    name = polled_name(request)
    try:
        check_name("service", name)
    except ValueError as error:
        raise invalid_record(error) from None
    return name


def _lines(variables: Mapping[str, str], warnings: Sequence[str]) -> web.Response:
    try:
        lines = [*(f"# {warning}" for warning in warnings), *environment_lines(variables)]
    except ValueError as error:
        raise InvalidField("format", f"{error}; ask for json") from None
    return web.Response(text="".join(f"{line}\n" for line in lines), content_type="text/plain", charset="utf-8")


def _poll_url(call: Call[TelemetryQuery, None]) -> str:
    """Where services poll: as the setting says, else at the host at which this was asked.

    Raises:
        InvalidField: 400 where neither says it.
    """
    settings = call.parts.settings
    if settings.poll_url is not None:
        return settings.poll_url
    host = host_of(call.request)
    if host is None:
        raise InvalidField("Host", f"names no host at which services could poll; set {PREFIX}POLL_URL on the server", 400)
    scheme = "http" if settings.poll_tls_cert is None else "https"
    return f"{scheme}://{host.name}:{call.parts.grpc_port}"

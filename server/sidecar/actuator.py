"""Health and metrics, at the paths the operations guide knows."""

from typing import Any

import msgspec
from aiohttp import web

from server.sidecar.configuration import json_response
from server.sidecar.errors import Problem
from server.sidecar.request_log import STARTED
from server.sidecar.route import Call, Route, Routes, Text
from server.telemetry.exposition import CONTENT_TYPE


class Component(msgspec.Struct, frozen=True):
    """The state of one part."""

    status: str
    details: dict[str, Any]


class HealthReport(msgspec.Struct, frozen=True):
    """The state of all parts."""

    status: str
    components: dict[str, Component]


class Status(msgspec.Struct, frozen=True):
    """UP, DOWN or OUT_OF_SERVICE; and nothing else for those whom the setting `TRACING_CONFIG_HEALTH_DETAILS` hides it from."""

    status: str


async def health(call: Call[None, None]) -> web.Response:
    """From memory, so at once, whatever hangs. 503 when `db` or `diskSpace` is DOWN."""
    return _shown(call, call.parts.health.report())


async def component(call: Call[None, None]) -> web.Response:
    """503 when it is DOWN."""
    found = call.parts.health.report()["components"].get(call.request.match_info["path"])
    if found is None:
        raise Problem(404, "not-found", "health has no component of this name here; /actuator/health shows those that it has")
    return _shown(call, found)


def _shown(call: Call[None, None], report: dict[str, Any]) -> web.Response:
    """The status code is the same for everybody: a probe needs no token, and a wrong one is as good as none."""
    parts, status = call.parts, report["status"]
    everything = parts.settings.health_details == "always" or parts.authentication.recognize(call.request) is not None
    return json_response(report if everything else Status(status), status=200 if status == "UP" else 503)


async def liveness(_call: Call[None, None]) -> web.Response:
    """The event loop turns, or this would not be answered."""
    return json_response(Status("UP"))


async def readiness(call: Call[None, None]) -> web.Response:
    ready = call.parts.health.ready
    return json_response(Status("UP" if ready else "OUT_OF_SERVICE"), status=200 if ready else 503)


async def prometheus(call: Call[None, None]) -> web.Response:
    text = await call.parts.metrics.text(call.request[STARTED])
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})


ROUTES: Routes = [
    Route(
        method="GET",
        path="/actuator/health",
        summary="The state of all parts",
        handler=health,
        role=None,
        answers={200: (HealthReport, Status), 503: (HealthReport, Status)},
    ),
    Route(
        method="GET",
        path="/actuator/health/{path}",
        summary="The state of one part",
        handler=component,
        role=None,
        answers={200: (Component, Status), 503: (Component, Status)},
    ),
    Route(
        method="GET",
        path="/actuator/health/liveness",
        summary="Whether the process turns",
        handler=liveness,
        role=None,
        answers={200: Status},
    ),
    Route(
        method="GET",
        path="/actuator/health/readiness",
        summary="Whether polls are answered",
        handler=readiness,
        role=None,
        answers={200: Status, 503: Status},
    ),
    Route(
        method="GET",
        path="/actuator/prometheus",
        summary="Metrics for Prometheus",
        handler=prometheus,
        role=None,
        answers={200: Text("text/plain")},
    ),
]

METRICS_ROUTES: Routes = [
    Route(
        method="GET",
        path="/metrics",
        summary="Metrics for Prometheus, on the metrics port",
        handler=prometheus,
        role=None,
        answers={200: Text("text/plain")},
    )
]

"""Health and metrics, at the paths the operations guide knows."""

from typing import Any

import msgspec
from aiohttp import web

from server.sidecar.configuration import json_response
from server.sidecar.route import Call, Route, Routes, Text
from server.telemetry.exposition import CONTENT_TYPE


class HealthReport(msgspec.Struct, frozen=True):
    """The state of all parts."""

    status: str
    components: dict[str, Any]


class Status(msgspec.Struct, frozen=True):
    """UP, DOWN or OUT_OF_SERVICE."""

    status: str


async def health(call: Call[None, None]) -> web.Response:
    report = call.parts.health.report()
    return json_response(report, status=200 if report["status"] == "UP" else 503)


async def liveness(_call: Call[None, None]) -> web.Response:
    """The event loop turns, or this would not be answered."""
    return json_response(Status("UP"))


async def readiness(call: Call[None, None]) -> web.Response:
    ready = call.parts.health.ready
    return json_response(Status("UP" if ready else "OUT_OF_SERVICE"), status=200 if ready else 503)


async def prometheus(call: Call[None, None]) -> web.Response:
    return web.Response(body=await call.parts.metrics.text(), headers={"Content-Type": CONTENT_TYPE})


ROUTES: Routes = [
    Route(
        method="GET",
        path="/actuator/health",
        summary="The state of all parts",
        handler=health,
        role=None,
        answers={200: HealthReport, 503: HealthReport},
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

"""Health and metrics, at the paths the operations guide knows."""

from aiohttp import web

from server.health import Health
from server.sidecar.configuration import json_response
from server.telemetry.metrics import CONTENT_TYPE, Metrics

HEALTH = web.AppKey("health", Health)
METRICS = web.AppKey("metrics", Metrics)


def routes() -> list[web.RouteDef]:
    return [
        web.get("/actuator/health", health),
        web.get("/actuator/health/liveness", liveness),
        web.get("/actuator/health/readiness", readiness),
        web.get("/actuator/prometheus", prometheus),
    ]


def metrics_routes() -> list[web.RouteDef]:
    """The same text on the metrics port."""
    return [web.get("/metrics", prometheus)]


async def health(request: web.Request) -> web.Response:
    report = request.app[HEALTH].report()
    return json_response(report, status=200 if report["status"] == "UP" else 503)


async def liveness(_request: web.Request) -> web.Response:
    """The event loop turns, or this would not be answered."""
    return json_response({"status": "UP"})


async def readiness(request: web.Request) -> web.Response:
    ready = request.app[HEALTH].ready
    return json_response({"status": "UP" if ready else "OUT_OF_SERVICE"}, status=200 if ready else 503)


async def prometheus(request: web.Request) -> web.Response:
    return web.Response(body=request.app[METRICS].text(), headers={"Content-Type": CONTENT_TYPE})

"""``/actuator/info``: what runs here. Everybody may know it: no secret, and nothing of the machine."""

import platform
from datetime import datetime
from functools import cache
from importlib.metadata import version

import msgspec
from aiohttp import web

from server.sidecar.configuration import json_response
from server.sidecar.route import Call, Route, Routes


class App(msgspec.Struct, frozen=True):
    """This program."""

    name: str
    version: str


class Python(msgspec.Struct, frozen=True):
    """What it is written in."""

    version: str
    implementation: str


class Info(msgspec.Struct, frozen=True, rename="camel"):
    """What runs here, and on what."""

    app: App
    python: Python
    store: str
    """`PostgreSQL` or `SQLite`."""

    poll_server: str
    started: datetime
    uptime_seconds: float


async def info(call: Call[None, None]) -> web.Response:
    """No token is needed."""
    parts, process = call.parts, call.parts.metrics.process
    return json_response(
        Info(
            app=_app(),
            python=Python(platform.python_version(), platform.python_implementation()),
            store=parts.follower.store.name,
            poll_server=parts.settings.poll_server,
            started=process.started_at,
            uptime_seconds=round(process.uptime, 3),
        )
    )


ROUTES: Routes = [
    Route(
        method="GET",
        path="/actuator/info",
        summary="What runs here, and on what",
        handler=info,
        role=None,
        answers={200: Info},
    )
]


@cache
def _app() -> App:
    return App("tracing-config", version("tracing-config"))

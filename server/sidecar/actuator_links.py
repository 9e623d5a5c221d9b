"""``/actuator``: what there is below it, as links in the form of HAL."""

import re

import msgspec
from aiohttp import web

from server.sidecar.configuration import json_response
from server.sidecar.errors import InvalidField
from server.sidecar.host import host_of, scheme_of
from server.sidecar.route import Call, Route, Routes

PATH = "/actuator"

_LINKED = re.compile(rf"{PATH}/(?P<name>\w+)(/\{{(?P<placeholder>\w+)\}})?")


class Link(msgspec.Struct, frozen=True):
    """An absolute address, at the host at which it was asked for."""

    href: str
    templated: bool
    """Whether it has a placeholder in braces."""


class Links(msgspec.Struct, frozen=True):
    """By name: `self`, `health`, `health-path` for one of its components, ..."""

    links: dict[str, Link] = msgspec.field(name="_links")


def links_route(routes: Routes) -> Route[None, None]:
    """The route that answers the links to those of these routes that are the actuator's."""
    below = {"self": PATH}
    for found in filter(None, (_LINKED.fullmatch(route.path) for route in routes)):
        below["-".join(filter(None, (found["name"], found["placeholder"])))] = found[0]

    async def show(call: Call[None, None]) -> web.Response:
        host = host_of(call.request)
        if host is None:
            raise InvalidField("Host", "names no host that links could lead to; send the one of the address", 400)
        base = f"{scheme_of(call.request, call.parts.settings)}://{host.name}{host.port}"
        return json_response(Links({name: Link(base + path, "{" in path) for name, path in below.items()}))

    return Route(method="GET", path=PATH, summary="What there is below it", handler=show, role=None, answers={200: Links})

"""A path and method, declared once: for routing, for who may, for reading what comes, and for the OpenAPI document."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
from aiohttp import web

from server.sidecar.errors import Problem
from server.sidecar.identity import Identity, Role
from server.sidecar.parts import PARTS, Parts
from server.sidecar.request_log import ACTOR
from server.sidecar.requests import MAX_BODY_BYTES, name_in_path, read_query, read_record

QueryType = TypeVar("QueryType")
BodyType = TypeVar("BodyType")

ANYBODY = Identity("anybody", "viewer")
"""Who asks a route that needs no token."""


class Call(Generic[QueryType, BodyType]):
    """A request that was let in, with its parameters and body read and checked."""

    def __init__(self, request: web.Request, identity: Identity, query: QueryType, body: BodyType) -> None:
        self.request, self.identity, self.query, self.body = request, identity, query, body
        self.parts: Parts = request.app[PARTS]

    def name(self, field: str) -> str:
        """The percent-decoded name of a record in the path. Raises InvalidField where no record can have it."""
        return name_in_path(self.request, field)


class Text(NamedTuple):
    """In place of an answer's type: text of a media type, no JSON."""

    media_type: str


class Route(msgspec.Struct, Generic[QueryType, BodyType], frozen=True, kw_only=True):
    """A method on a path. ``Call.query`` and ``Call.body`` are what the types here say."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    """With placeholders, percent-encoded by clients: ``/api/v1/config/services/{service}``."""

    summary: str
    """One line for the reader of the OpenAPI document."""

    handler: Callable[[Call[QueryType, BodyType]], Awaitable[web.StreamResponse]]
    role: Role | None
    """Who may at least; None: everybody, without a token."""

    query: type[QueryType] | None = None
    """A struct whose fields are the query parameters; None: there are none."""

    body: type[BodyType] | None = None
    """What the JSON body is read as. ``bytes``: the handler reads it itself."""

    example: Any = None
    """A body that is taken, for the reader of the OpenAPI document."""

    preconditions: bool = False
    """Whether a write honours ``If-Match`` and ``If-None-Match``; elsewhere they are refused, not ignored."""

    body_limit: int = MAX_BODY_BYTES
    answers: Mapping[int, Any] = {}
    """The type of the JSON for each status that is no failure (or ``Text``; None: no body; a tuple: any of these). Failures are
    problem JSON."""

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Answer one request.

        Raises:
            Problem: and whatever else the handler raises, see ``errors.problem_middleware``.
        """
        if not _expects_what_is_known(request):
            raise Problem(417, "unknown-expectation", "Expect: only 100-continue is understood; remove it")
        authentication = request.app[PARTS].authentication
        identity = ANYBODY
        if self.role is not None:
            identity = await authentication.identify(request)
            request[ACTOR] = identity.name
        may = self.role is None or identity.has(self.role)
        # A dry run shows nothing that a viewer may not read: a pull request's check needs no token that can write.
        query: Any = read_query(request, self.query) if may or "dryRun" in request.query else None
        if not may and not (getattr(query, "dry_run", False) and identity.has("viewer")):
            raise authentication.forbidden(request, identity, f"the role {identity.role} may not do this, it needs {self.role}")
        if self.method != "GET" and not self.preconditions:
            for header in ("If-Match", "If-None-Match"):
                if header in request.headers:
                    raise Problem(400, "bad-precondition", f"{header}: this path does not honour it; remove it")
        body: Any = None
        if self.body is not None and self.body is not bytes:
            body = await read_record(request, self.body, self.body_limit)
        return await self.handler(Call(request, identity, query, body))


Routes = list[Route[Any, Any]]


def register(app: web.Application, routes: Routes) -> None:
    """Let an application answer these routes; of those that take GET only health takes HEAD, by which some monitors ask."""
    for route in routes:
        # A placeholder alone would not take names with braces.
        path = re.sub(r"\{(\w+)\}", r"{\1:[^/]+}", route.path)
        for method in (route.method, "HEAD") if route.path.startswith("/actuator/health") else (route.method,):
            app.router.add_route(method, path, route.respond, expect_handler=_expect)


def _expects_what_is_known(request: web.Request) -> bool:
    return request.headers.get("Expect", "100-continue").lower() == "100-continue"


async def _expect(request: web.Request) -> None:
    """Let a client go on that waits for that before it sends its body. Comes before the middlewares, so it refuses nothing."""
    if _expects_what_is_known(request):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # As the library's own: the answer itself has not begun.

"""The OpenAPI 3.1 document, made from the very declarations that the server routes, reads and checks by."""

import inspect
import re
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec
from aiohttp import web

from sampling.strategy import MAX_NAME_BYTES
from server.sidecar.configuration import json_response
from server.sidecar.route import Call, Route, Routes, Text
from server.sidecar.views import READ_ONLY

_REFERENCE = "#/components/schemas/{name}"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")

Document = dict[str, Any]

_PRECONDITIONS: list[Document] = [
    {
        "name": "If-Match",
        "in": "header",
        "description": "The ETag that the record must have, or `*`: there must be one.",
        "schema": {"type": "string", "examples": ["*"]},
    },
    {
        "name": "If-None-Match",
        "in": "header",
        "description": "There must be no such record yet.",
        "schema": {"const": "*"},
    },
]

_KNOWN: Document = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag that the client has: it is 304 while that is the record's.",
    "schema": {"type": "string"},
}

_ETAG: Document = {
    "ETag": {"description": "Of the record, for `If-Match`.", "schema": {"type": "string", "examples": ['"120-3f9a1c02"']}}
}

_FOR_PROGRAMMERS = re.compile(r"\s*\n(Raises|Args):.*", re.DOTALL)
"""What docstrings have behind what concerns everybody."""


class FieldError(msgspec.Struct, frozen=True):
    """One value that was refused."""

    field: str
    message: str


class ProblemDocument(msgspec.Struct, frozen=True):
    """Any failure (RFC 9457); some have more members, see docs/api.md."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | msgspec.UnsetType = msgspec.UNSET


def openapi_route(routes: Routes) -> Route[None, None]:
    """The route that answers the document of these routes and its own."""

    @cache
    def document() -> Document:
        return openapi_document([*routes, route])

    async def show(_call: Call[None, None]) -> web.Response:
        return json_response(document())

    route = Route(
        method="GET",
        path="/api/v1/openapi.json",
        summary="This document",
        handler=show,
        role=None,
        answers={200: dict[str, Any]},
    )
    return route


def openapi_document(routes: Routes) -> Document:
    """Describe the routes."""
    schemas = _Schemas(routes)
    paths: dict[str, Document] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tracing-config",
            "version": version("tracing-config"),
            "description": "Changes and explains sampling strategies. Polls have ports of their own.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


class _Schemas:
    """The JSON Schema of every type that some route takes or answers."""

    def __init__(self, routes: Routes) -> None:
        types = list(dict.fromkeys([ProblemDocument, *(found for route in routes for found in _types(route))]))
        made, self.components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
        self._of = dict(zip(types, made, strict=True))
        for schema in self.components.values():
            if "description" in schema:
                schema["description"] = _FOR_PROGRAMMERS.sub("", schema["description"])
        for body, names in READ_ONLY.items():
            members = self.components.get(body.__name__, {}).get("properties", {})
            members.update({name: {**members.get(name, {}), "readOnly": True} for name in sorted(names)})

    def of(self, wanted: Any) -> Document:
        members = _members(wanted)
        return self._of[wanted] if len(members) == 1 else {"anyOf": [self._of[member] for member in members]}

    def query(self, query_type: Any) -> Iterator[Document]:
        """The parameters of a query."""
        if query_type is None:
            return
        schema = self.components[query_type.__name__]
        for name, given in schema["properties"].items():
            described = dict(given)
            text = described.pop("description", "")
            yield {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", ()),
                "description": text,
                "schema": described,
            }


def _types(route: Route[Any, Any]) -> Iterator[Any]:
    answers = (one for answer in route.answers.values() for one in _kinds(answer))
    for wanted in (route.query, route.body, *answers):
        if wanted is not None and wanted is not bytes and not isinstance(wanted, Text):
            yield from _members(wanted)


def _members(wanted: Any) -> tuple[Any, ...]:
    """The structs of a union: answers may be one of several, which the library has no schema for."""
    return get_args(wanted) if get_origin(wanted) in (Union, UnionType) else (wanted,)


def _kinds(answer: Any) -> tuple[Any, ...]:
    """The kinds of body that an answer may have."""
    if answer is None:
        return ()
    return answer if isinstance(answer, tuple) and not isinstance(answer, Text) else (answer,)


def _operation(route: Route[Any, Any], schemas: _Schemas) -> Document:
    name = re.sub(r"\W+", "-", f"{route.method.lower()} {route.path.removeprefix('/api/v1/')}").strip("-")
    operation: Document = {"operationId": name, "summary": route.summary}
    if route.handler.__doc__:
        operation["description"] = inspect.cleandoc(route.handler.__doc__)
    name_schema = {"type": "string", "minLength": 1, "maxLength": MAX_NAME_BYTES}
    operation["parameters"] = [
        {"name": field, "in": "path", "required": True, "schema": name_schema} for field in _PLACEHOLDER.findall(route.path)
    ]
    operation["parameters"] += schemas.query(route.query)
    if route.preconditions:
        operation["parameters"] += _PRECONDITIONS
    if HTTPStatus.NOT_MODIFIED in route.answers:
        operation["parameters"].append(_KNOWN)
    if route.body is not None:
        schema = {"type": "object"} if route.body is bytes else schemas.of(route.body)
        example = {} if route.example is None else {"example": route.example}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema, **example}}}
    operation["responses"] = {str(status): _response(status, answer, schemas) for status, answer in route.answers.items()}
    if route.preconditions or HTTPStatus.NOT_MODIFIED in route.answers:
        operation["responses"]["200"]["headers"] = _ETAG
    operation["responses"]["default"] = {
        "description": "A failure.",
        "content": {"application/problem+json": {"schema": schemas.of(ProblemDocument)}},
    }
    if route.role is not None:
        operation["security"] = [{"token": []}]
        operation["x-role"] = route.role
    return operation


def _response(status: int, answer: Any, schemas: _Schemas) -> Document:
    response: Document = {"description": HTTPStatus(status).phrase}
    for kind in _kinds(answer):
        content = response.setdefault("content", {})
        if isinstance(kind, Text):
            content[kind.media_type] = {"schema": {"type": "string"}}
        else:
            content["application/json"] = {"schema": schemas.of(kind)}
    return response

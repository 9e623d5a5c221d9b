"""``/api/v1/config/export``: the whole configuration, for another store, for a folder in git, or for Jaeger."""

import asyncio
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from time import time
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from sampling.catalog import Catalog
from sampling.configuration_document_writer import Provenance, Unreadable, names_in_slices, pieces
from sampling.jaeger_export import JaegerExport, Unsaid, export_in_slices
from sampling.strategies_file_writer import pieces as strategies_file_pieces
from server.sidecar.history_api import RevisionNumber
from server.sidecar.parts import Parts
from server.sidecar.requests import Query
from server.sidecar.route import Call, Route, Routes
from storage.interface import Point
from storage.pacing import paced

WRITTEN_AT_ONCE = 2**15
"""Bytes that are collected before they are sent."""

STALLED_SECONDS = 30.0
"""How long a client may take to read so many bytes: what is exported stays in memory meanwhile."""

_encode = msgspec.json.Encoder().encode


class ExportQuery(Query, frozen=True):
    """Of an export."""

    revision: Annotated[RevisionNumber | UnsetType, msgspec.Meta(description="As it was then; else as served.")] = UNSET
    format: Annotated[
        Literal["tracing-config", "jaeger"],
        msgspec.Meta(description="Our own, without loss, or a strategies file."),
    ] = "tracing-config"


class ExportDocument(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A whole configuration: records by name."""

    format: Literal["tracing-config/1"]
    revision: int
    commit_id: str
    store_id: str
    default: msgspec.Raw | None
    services: dict[str, msgspec.Raw]
    policies: dict[str, msgspec.Raw]
    boosts: dict[str, msgspec.Raw]
    unreadable: Sequence[Unreadable] | msgspec.UnsetType = msgspec.UNSET
    """Only where somebody edited the store behind the program's back."""


class JaegerDocument(msgspec.Struct, frozen=True, rename="camel"):
    """A strategies file for Jaeger, and what it cannot say."""

    revision: int
    strategies: dict[str, msgspec.Raw]
    cannot_express: Sequence[Unsaid]


async def export(call: Call[ExportQuery, None]) -> web.StreamResponse:
    """Everything by name, so that two exports can be compared. It is sent in pieces."""
    catalog, point = await _configuration(call.parts, call.query.revision)
    if call.query.format == "jaeger":
        exported = await paced(export_in_slices(catalog))
        return await _stream(call.request, _jaeger_pieces(exported, point))
    names = await paced(names_in_slices(catalog))
    provenance = Provenance(point.revision, point.commit_id, point.store_id)
    return await _stream(call.request, pieces(catalog, names, provenance))


ROUTES: Routes = [
    Route(
        method="GET",
        path="/api/v1/config/export",
        summary="The whole configuration",
        handler=export,
        role="viewer",
        query=ExportQuery,
        answers={200: ExportDocument | JaegerDocument},
    ),
]


async def _configuration(parts: Parts, revision: int | UnsetType) -> tuple[Catalog, Point]:
    """Everything that is served, or was at a revision, as a catalog that nobody else uses."""
    parts.loaded()
    if isinstance(revision, UnsetType):
        catalog, head = await parts.served.fork()
        return catalog, head.point
    catalog = Catalog(parts.served.catalog.file, time())
    async with parts.log().state_at(revision) as load:
        async for changes in load:
            await paced(catalog.apply_in_slices(changes))
        return catalog, load.head.point


def _jaeger_pieces(exported: JaegerExport, point: Point) -> Iterator[bytes]:
    yield b'{"revision":%d,\n"strategies":' % point.revision
    yield from strategies_file_pieces(exported.file)
    yield b',\n"cannotExpress":['
    for index, unsaid in enumerate(exported.unsaid):
        yield (b",\n" if index else b"\n") + _encode(unsaid)
    yield b"]}\n"


async def _stream(request: web.Request, text: Iterator[bytes]) -> web.StreamResponse:
    """Answer JSON piece by piece, no faster than the client reads, and giving way to polls."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    # A client that goes away, or stops reading, gets no more.
    with suppress(ConnectionError, TimeoutError):
        await response.prepare(request)
        while chunk := await paced(_next_chunk(text)):
            async with asyncio.timeout(STALLED_SECONDS):
                await response.write(chunk)
        await response.write_eof()
        return response
    if request.transport is not None:
        request.transport.abort()
    return response


def _next_chunk(text: Iterator[bytes]) -> Generator[None, None, bytes]:
    """The next pieces together; empty at the end."""
    chunk = bytearray()
    for piece in text:
        chunk += piece
        if len(chunk) >= WRITTEN_AT_ONCE:
            break
        yield
    return bytes(chunk)

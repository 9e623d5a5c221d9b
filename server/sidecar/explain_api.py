"""``/api/v1/config/services/{service}/effective`` and ``/explain``: what a name gets, configured or not, and why."""

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

import msgspec
from aiohttp import web

from sampling.client_limits import ClientWarning, warnings_for
from sampling.effect import shown
from sampling.encode import encode_json, encode_protobuf
from sampling.explanation import Candidate, OperationOrigin, explain
from sampling.layers import Layer, Source, strategy_of, winning_layer
from sampling.operation_explanation import OperationExplanation
from sampling.policies import moment_text
from sampling.strategy import EffectiveStrategy, OperationStrategy, SamplingStrategy
from server.answers import MAX_NAME_BYTES
from server.sidecar.configuration import json_response
from server.sidecar.errors import InvalidField
from server.sidecar.requests import Query
from server.sidecar.route import Call, Route, Routes
from storage.interface import Point
from storage.pacing import paced


class EffectiveView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What a name gets at this moment."""

    service: str
    revision: int
    point: str
    at: str
    """The instant at which windows are judged."""

    sampling_strategy: SamplingStrategy
    operation_strategies: tuple[OperationStrategy, ...] | None
    source: Source
    """Where the strategy comes from."""

    key: str
    """The name of the record or entry; empty for the file's default and the last resort."""

    protobuf: str
    """What is answered over gRPC, in hex."""

    json: str
    """What is answered over HTTP."""


class ExplainView(EffectiveView, frozen=True, rename="camel", kw_only=True):
    """What a name gets at this moment, and why."""

    candidates: Sequence[Candidate]
    """In the order in which places count, with the first 1000 policies."""

    candidate_count: int
    operations: Sequence[OperationOrigin]
    operation: OperationExplanation | None
    warnings: Sequence[ClientWarning]
    next_scheduled_change: str | None


class ExplainQuery(Query, frozen=True):
    """Of an explanation."""

    operation: Annotated[str, msgspec.Meta(description="Explain this operation too.")] = ""


async def effective(call: Call[None, None]) -> web.Response:
    """For any name that a client can poll, configured or not, with the very bytes that polls are answered."""
    name = polled_name(call.request)
    catalog, point = call.parts.loaded()
    layers = catalog.layers(name)
    winner = winning_layer(layers)
    return json_response(EffectiveView(**_members(name, point, catalog.instant, strategy_of(layers), winner)))


async def explain_service(call: Call[ExplainQuery, None]) -> web.Response:
    """With every place that lost and the reason, where each operation comes from, and what which client cannot honour."""
    name = polled_name(call.request)
    catalog, point = call.parts.loaded()
    found = await paced(explain(catalog, name, call.query.operation))
    view = ExplainView(
        **_members(name, point, found.instant, found.effective, found.winner),
        candidates=found.candidates,
        candidate_count=found.candidate_count,
        operations=found.operations,
        operation=found.operation,
        warnings=warnings_for(found.effective),
        next_scheduled_change=None if found.next_change is None else moment_text(found.next_change),
    )
    return json_response(view)


ROUTES: Routes = [
    Route(
        method="GET",
        path="/api/v1/config/services/{service}/effective",
        summary="What a service gets now",
        handler=effective,
        role="viewer",
        answers={200: EffectiveView},
    ),
    Route(
        method="GET",
        path="/api/v1/config/services/{service}/explain",
        summary="What a service gets now, and why",
        handler=explain_service,
        role="viewer",
        query=ExplainQuery,
        answers={200: ExplainView},
    ),
]


def polled_name(request: web.Request) -> str:
    """The name before the last part of the path, read as the query string of a poll is: any bytes can be polled.

    Raises:
        InvalidField: 422 for a name that is too long to be polled.
    """
    encoded = unquote_to_bytes(request.rel_url.raw_parts[-2].encode(errors="surrogateescape"))
    if len(encoded) > MAX_NAME_BYTES:
        raise InvalidField("service", f"has {len(encoded)} bytes; a name that is polled has at most {MAX_NAME_BYTES}")
    return encoded.decode(errors="surrogateescape")


def _members(name: str, point: Point, instant: float, answer: EffectiveStrategy, winner: Layer) -> dict[str, Any]:
    return {
        "service": shown(name),
        "revision": point.revision,
        "point": str(point),
        "at": moment_text(instant),
        "sampling_strategy": answer.strategy,
        "operation_strategies": answer.operations,
        "source": winner.source,
        "key": shown(winner.key),
        "protobuf": encode_protobuf(answer).hex(),
        "json": encode_json(answer).decode(),
    }

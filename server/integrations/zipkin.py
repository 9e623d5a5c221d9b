"""Zipkin, or a collector's receiver for it, as a target of spans: lists of spans in its JSON, version 2."""

from collections.abc import Mapping
from typing import Any

import msgspec

from server.integrations.http_client import SECONDS, Answer, HttpClient, Unusable, shown
from server.integrations.marked_span import ATTRIBUTE, MICROSECONDS, NAME, SERVICE, marked_span

PATH = "/api/v2/spans"

_CURE = "see whether it is up, and TRACING_CONFIG_ZIPKIN_URL names its port, which is 9411 by itself"

_STORAGE = "look at the storage that Zipkin was given; its log says more, and GET /health there"


class Zipkin:
    """Whether spans are taken; of a Zipkin also whether its storage is well."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def check(self) -> Mapping[str, Any]:
        """Send an empty list, and ask for the storage; what is no Zipkin need not know of one. Raises Unusable."""
        await self._send([], seconds=SECONDS / 2)
        try:
            answer = await self._client.request("GET", "/health", accepted=range(200, 600), seconds=SECONDS / 2)
        except Unusable as error:
            raise Unusable(f"it takes spans, but not a question for its storage: {error}", error.cure or _STORAGE) from None
        return _storage(answer)

    async def send_marked_span(self) -> str:
        """Send one span, which is kept whatever share of traces Zipkin keeps, and return its trace id. Raises Unusable."""
        trace_id, span_id, started = marked_span()
        span = {
            "traceId": trace_id,
            "id": span_id,
            "name": NAME,
            "timestamp": started,
            "duration": MICROSECONDS,
            "localEndpoint": {"serviceName": SERVICE},
            "tags": {ATTRIBUTE: "true"},
            "debug": True,
        }
        await self._send([span], seconds=SECONDS)
        return trace_id

    async def _send(self, spans: list[dict[str, Any]], *, seconds: float) -> None:
        try:
            await self._client.request("POST", PATH, body=msgspec.json.encode(spans), accepted=(202,), seconds=seconds)
        except Unusable as error:
            raise Unusable(str(error), error.cure or _CURE) from None


class _Component(msgspec.Struct):
    """A part of Zipkin's health."""

    status: str
    details: dict[str, Any] = {}


class _Health(msgspec.Struct):
    zipkin: _Component


def _storage(answer: Answer) -> Mapping[str, Any]:
    """What Zipkin says of its storage; nothing where this is no Zipkin. Raises Unusable where it is not well."""
    try:
        zipkin = msgspec.json.decode(answer.body, type=_Health).zipkin
    except (ValueError, RecursionError):
        return {}
    # What follows the brace are its options.
    storage = shown(", ".join(name.partition("{")[0] for name in zipkin.details)) or "unknown"
    if zipkin.status != "UP":
        raise Unusable(f"it answers, but its storage ({storage}) is {shown(zipkin.status)}", _STORAGE)
    return {"storage": storage}

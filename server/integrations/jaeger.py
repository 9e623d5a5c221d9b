"""Jaeger, or any collector, as a target of spans: OTLP over HTTP in JSON."""

from collections.abc import Mapping
from typing import Any

import msgspec

from server.integrations.http_client import HttpClient, Unusable, json_object, shown
from server.integrations.marked_span import ATTRIBUTE, MICROSECONDS, NAME, SERVICE, marked_span

PATH = "/v1/traces"

_CURE = "see whether it is up, and TRACING_CONFIG_JAEGER_URL names its port of OTLP over HTTP, which is 4318 by itself"

_REFUSED = "see in the log of the collector why, and what its processors and its storage say"

_INTERNAL = 1
"""Of the kinds of spans."""


class Jaeger:
    """Whether spans are taken. It speaks OTLP and nothing of Jaeger's own, so every collector will do."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def check(self) -> Mapping[str, Any]:
        """Send no span at all, which only an OTLP receiver knows how to answer. Raises Unusable."""
        await self._export([])
        return {}

    async def send_marked_span(self) -> str:
        """Send one span, and return its trace id. Raises Unusable."""
        trace_id, span_id, started = marked_span()
        span = {
            "traceId": trace_id,
            "spanId": span_id,
            "name": NAME,
            "kind": _INTERNAL,
            "startTimeUnixNano": f"{started * 1000}",
            "endTimeUnixNano": f"{(started + MICROSECONDS) * 1000}",
            "attributes": [{"key": ATTRIBUTE, "value": {"boolValue": True}}],
        }
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": SERVICE}}]}
        await self._export([{"resource": resource, "scopeSpans": [{"scope": {"name": "tracing-config"}, "spans": [span]}]}])
        return trace_id

    async def _export(self, resource_spans: list[dict[str, Any]]) -> None:
        try:
            answer = await self._client.request("POST", PATH, body=msgspec.json.encode({"resourceSpans": resource_spans}))
            said = json_object(answer, "receiver of OTLP")
            if said.keys() - {"partialSuccess"}:
                raise Unusable("this is no receiver of OTLP: it answers with JSON of something else")
            _check_all_taken(said.get("partialSuccess"))
        except Unusable as error:
            raise Unusable(str(error), error.cure or _CURE) from None


def _check_all_taken(partial: object) -> None:
    if partial is None or partial == {}:
        return
    if not isinstance(partial, dict):
        raise Unusable("this is no receiver of OTLP: its partialSuccess is no object")
    try:
        rejected = int(partial.get("rejectedSpans", 0))  # 64 bits are text in the JSON of protobuf.
    except (TypeError, ValueError, OverflowError):
        raise Unusable("this is no receiver of OTLP: its rejectedSpans is no number") from None
    if rejected:
        said = shown(str(partial.get("errorMessage", "")))
        raise Unusable("it rejects the span" + (f": {said}" if said else ""), _REFUSED)

"""Jaeger's collector and Zipkin as far as spans are sent to them: what breaks their protocols is refused, as they refuse it."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tests.services.http_stand_in import Reply, Request, StandIn


class Seen(NamedTuple):
    """A span that was taken."""

    service: str
    name: str
    attributes: Mapping[str, str]
    started: float
    """Seconds since the epoch."""

    ended: float


class TargetStandIn(StandIn):
    """Takes spans."""

    def __init__(self, take: Callable[[Request], Reply]) -> None:
        super().__init__(self._reply_to)
        self._take = take
        self.spans: dict[str, Seen] = {}
        """By their trace ids."""
        self.refused: list[str] = []
        """What of the protocol was broken."""

    def _reply_to(self, request: Request) -> Reply:
        try:
            return self._take(request)
        except (AssertionError, KeyError, ValueError, TypeError) as error:
            self.refused.append(repr(error))
            return Reply(400, json.dumps({"code": 3, "message": repr(error)}).encode())


class JaegerStandIn(TargetStandIn):
    """The receiver of OTLP over HTTP, for JSON: https://opentelemetry.io/docs/specs/otlp/#otlphttp"""

    def __init__(self) -> None:
        super().__init__(self._export)

    def _export(self, request: Request) -> Reply:
        if request.path != "/v1/traces":
            return Reply(404, b"404 page not found", "text/plain")
        if request.method != "POST":
            return Reply(405, b"405 method not allowed, supported: [POST]", "text/plain")
        assert request.headers["content-type"] == "application/json"
        for resource_spans in of(json.loads(request.body), "resourceSpans")["resourceSpans"]:
            resource = attributes(of(resource_spans, "resource", "scopeSpans")["resource"]["attributes"])
            for scope_spans in resource_spans["scopeSpans"]:
                for span in of(scope_spans, "scope", "spans")["spans"]:
                    self._keep(resource["service.name"], span)
        return Reply(200, b'{"partialSuccess":{}}')

    def _keep(self, service: str, span: dict[str, Any]) -> None:
        of(span, "traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano", "attributes")
        assert is_id(span["traceId"], 32)
        assert is_id(span["spanId"], 16)
        assert span["kind"] in range(1, 6)
        started, ended = (span[f"{end}TimeUnixNano"] for end in ("start", "end"))
        assert re.fullmatch(r"\d{19}", started)
        assert re.fullmatch(r"\d{19}", ended)
        seen = Seen(service, span["name"], attributes(span["attributes"]), int(started) / 1e9, int(ended) / 1e9)
        self.spans[span["traceId"]] = seen


class ZipkinStandIn(TargetStandIn):
    """The collector for JSON, version 2, and health: https://zipkin.io/zipkin-api/"""

    def __init__(self) -> None:
        super().__init__(self._answer_to)
        self.storage = {"InMemoryStorage{}": "UP"}
        """The state of each storage."""

    def _answer_to(self, request: Request) -> Reply:
        if (request.method, request.path) == ("GET", "/health"):
            return self._health()
        if (request.method, request.path) != ("POST", "/api/v2/spans"):
            return Reply(404, b"404 Not Found", "text/plain")
        assert request.headers["content-type"] == "application/json"
        spans = json.loads(request.body)
        assert isinstance(spans, list), "Expected a JSON_V2 encoded list"
        for span in spans:
            of(span, "traceId", "id", "name", "timestamp", "duration", "localEndpoint", "tags", "debug")
            assert is_id(span["traceId"], 32)
            assert is_id(span["id"], 16)
            assert all(isinstance(value, str) for value in span["tags"].values())
            assert isinstance(span["timestamp"], int)
            started = span["timestamp"] / 1e6
            service = of(span["localEndpoint"], "serviceName")["serviceName"]
            self.spans[span["traceId"]] = Seen(service, span["name"], span["tags"], started, started + span["duration"] / 1e6)
        return Reply(202)

    def _health(self) -> Reply:
        status = "UP" if set(self.storage.values()) == {"UP"} else "DOWN"
        parts = {name: {"status": state} for name, state in self.storage.items()}
        report = {"status": status, "zipkin": {"status": status, "details": parts}}
        return Reply(200 if status == "UP" else 503, json.dumps(report).encode())


def of(found: Any, *members: str) -> dict[str, Any]:
    """An object without other members than these."""
    assert isinstance(found, dict), found
    assert not found.keys() - set(members), found
    return found


def is_id(text: str, digits: int) -> bool:
    return bool(re.fullmatch(f"[0-9a-f]{{{digits}}}", text)) and set(text) != {"0"}


def attributes(found: list[dict[str, Any]]) -> dict[str, str]:
    """Attributes of OTLP as text, which is how Zipkin has them."""
    read = {}
    for one in found:
        ((kind, value),) = of(of(one, "key", "value")["value"], "stringValue", "boolValue").items()
        assert type(value) is {"stringValue": str, "boolValue": bool}[kind]
        read[one["key"]] = value if isinstance(value, str) else json.dumps(value)
    return read

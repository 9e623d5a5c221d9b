"""A collector of the tests: takes spans by OTLP over HTTP or gRPC, and remembers them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.services.http_stand_in import Reply, Request, StandIn


class Received(NamedTuple):
    """A span, as a test reads it."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    """Empty for the first of its trace."""

    attributes: dict[str, Any]
    failed: bool
    message: str
    trace_state: str
    resource: dict[str, Any]


class SpanReceiver(StandIn):
    """By HTTP, at ``url``."""

    def __init__(self) -> None:
        super().__init__(lambda _: Reply(200, b"", "application/x-protobuf"))

    @property
    def spans(self) -> list[Received]:
        """In the order in which they ended."""
        return [span for request in self.requests for span in self._decoded(request)]

    @staticmethod
    def _decoded(request: Request) -> list[Received]:
        return received(ExportTraceServiceRequest.FromString(request.body))


class GrpcSpanReceiver(TraceServiceServicer):
    """By gRPC."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.metadata: dict[str, Any] = {}

    def Export(  # noqa: N802 - the protocol's name
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        self.spans += received(request)
        self.metadata = dict(context.invocation_metadata())
        return ExportTraceServiceResponse()

    @contextmanager
    def running(self) -> Iterator[str]:
        """Its address."""
        server = grpc.server(ThreadPoolExecutor(1))
        add_TraceServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"http://127.0.0.1:{port}"
        server.stop(None).wait()


def received(request: ExportTraceServiceRequest) -> list[Received]:
    return [
        Received(
            name=span.name,
            kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            attributes=_values(span.attributes),
            failed=span.status.code == span.status.STATUS_CODE_ERROR,
            message=span.status.message,
            trace_state=span.trace_state,
            resource=_values(resource.resource.attributes),
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _values(attributes: Any) -> dict[str, Any]:
    pairs: list[KeyValue] = [*attributes]
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in pairs}

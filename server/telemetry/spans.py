"""Spans of what the server does, sent by OpenTelemetry's SDK: the only place that imports it."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib.metadata import version
from time import monotonic

import structlog
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, StatusCode, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.contextvars import bound_contextvars

from server.daemon_call import daemon_call
from server.integrations.http_client import shown
from server.span_settings import SpanSettings
from server.telemetry.traces import Answered, Asked, CameTo, Traces
from storage.interface import Point

STOP_SECONDS = 2.0
"""What a stop waits for the spans that were not sent yet."""

DROPS_TOLD_SECONDS = 60.0
"""So often at the most a line tells that spans are dropped."""

SWITCH_SECONDS = 0.0005
"""How long a thread that wants the interpreter waits for one that works; 5 ms by itself, and a poll asks for it several times.

Seen beside 100 writes a second: while batches are encoded, the p99 of polls is 4.3 ms without this, 2.5 ms with it, and 2.0 ms
without any span.
"""

MAX_PATH_CHARACTERS = 1024
"""Of a path in a span; a client may send more."""

_log = structlog.get_logger(__name__)


class Spans(Traces):
    """Makes a span of each; the lines that are logged within have its ids."""

    def __init__(self, provider: TracerProvider, *, callers: bool) -> None:
        """``callers``: whether a request is a part of its caller's trace."""
        self._tracer = provider.get_tracer("tracing-config", version("tracing-config"))
        self._callers = callers
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, asked: Asked) -> Iterator[Answered]:
        method = "_OTHER" if asked.method == "other" else asked.method
        attributes = {
            "http.request.method": method,
            "url.path": asked.path[:MAX_PATH_CHARACTERS],
            "url.scheme": asked.scheme,
        }
        name = "HTTP" if asked.method == "other" else method
        if asked.route is not None:
            attributes["http.route"] = asked.route
            name = f"{name} {asked.route}"
        if asked.client is not None:
            attributes["client.address"] = asked.client
        context = Context()
        if self._callers:
            headers = {"traceparent": asked.traceparent, "tracestate": asked.tracestate}
            context = self._propagator.extract(headers, context)
        span = self._tracer.start_span(name, context, SpanKind.SERVER, attributes)

        def answered(status: int) -> None:
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_attribute("error.type", str(status))
                span.set_status(StatusCode.ERROR)

        with _within(span):
            yield answered

    @contextmanager
    def commit(self, store: str) -> Iterator[CameTo]:
        attributes = {"db.system.name": store.lower(), "db.operation.name": "commit"}
        span = self._tracer.start_span("commit", None, SpanKind.CLIENT, attributes)
        with _within(span):
            yield _came_to(span)

    @contextmanager
    def apply(self, at: Point | None) -> Iterator[CameTo]:
        attributes = {} if at is None else {"tracing_config.previous_revision": at.revision}
        span = self._tracer.start_span("apply", None, SpanKind.INTERNAL, attributes)
        with _within(span):
            yield _came_to(span)


@contextmanager
def _within(span: Span) -> Iterator[None]:
    ids = span.get_span_context()
    lines = bound_contextvars(trace_id=f"{ids.trace_id:032x}", span_id=f"{ids.span_id:016x}")
    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False), lines:
        try:
            yield
        except Exception as error:
            # Without its stack: the log has that of a defect, with the same ids.
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(StatusCode.ERROR, shown(str(error)))
            raise


def _came_to(span: Span) -> CameTo:
    def came_to(point: Point, records: int) -> None:
        # The same point in the span of a commit and in those of all replicas that applied it: so they are found together.
        span.set_attribute("tracing_config.revision", point.revision)
        span.set_attribute("tracing_config.point", str(point))
        span.set_attribute("tracing_config.records", records)

    return came_to


class _Reasons(logging.Handler):
    """Takes what the SDK and its exporters log, many lines and stacks for one target that is away, and keeps the last line."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""
        self._drops_told = -DROPS_TOLD_SECONDS

    def emit(self, record: logging.LogRecord) -> None:
        self.last = shown(record.getMessage())
        if self.last.startswith("Queue full") and monotonic() - self._drops_told >= DROPS_TOLD_SECONDS:
            self._drops_told = monotonic()
            _log.warning("spans are dropped: more come than can be sent")


class _Told(SpanExporter):
    """An exporter with one line of the log for each change between what can be sent and what cannot."""

    def __init__(self, exporter: SpanExporter, address: str, problem: Callable[[], str]) -> None:
        """``problem`` says why the last export failed."""
        self._exporter, self._address, self._problem = exporter, address, problem
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """In the thread of the SDK."""
        try:
            failing = self._exporter.export(spans) is not SpanExportResult.SUCCESS
            problem = self._problem()
        except Exception as error:  # noqa: BLE001 - a defect of the exporter is one of its failures
            failing, problem = True, type(error).__name__  # Its text may hold what was sent, with its headers.
        if failing and not self._failing:
            _log.warning("spans cannot be sent; the newest are kept", address=self._address, reason=shown(problem))
        elif self._failing and not failing:
            _log.info("spans are sent again", address=self._address)
        self._failing = failing
        return SpanExportResult.FAILURE if failing else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._exporter.shutdown()


@asynccontextmanager
async def open_spans(settings: SpanSettings) -> AsyncIterator[Spans]:
    """Start what sends them; at the end, what is left has STOP_SECONDS."""
    reasons = _silence()
    sys.setswitchinterval(SWITCH_SECONDS)
    # What the variables say stands above this.
    resource = Resource({"host.name": socket.gethostname(), "service.version": version("tracing-config")})
    provider = TracerProvider(resource=resource.merge(Resource.create()), shutdown_on_exit=False)
    queue = int(settings.text("OTEL_BSP_MAX_QUEUE_SIZE"))
    exporter, problem = _exporter(settings)
    processor = BatchSpanProcessor(
        _Told(exporter, settings.target, problem or (lambda: reasons.last)),
        max_queue_size=queue,
        schedule_delay_millis=int(settings.text("OTEL_BSP_SCHEDULE_DELAY")),
        max_export_batch_size=min(queue, int(settings.text("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"))),
    )
    provider.add_span_processor(processor)
    _log.info("spans are sent", address=settings.target)
    try:
        yield Spans(provider, callers="tracecontext" in settings.text("OTEL_PROPAGATORS"))
    finally:
        # Its thread may hang in a request that nobody answers. It is a daemon, as this call is.
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await daemon_call(provider.shutdown)


def _silence() -> _Reasons:
    reasons = _Reasons()
    logger = logging.getLogger("opentelemetry")
    logger.handlers, logger.propagate = [reasons], False
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    return reasons


def _exporter(settings: SpanSettings) -> tuple[SpanExporter, Callable[[], str] | None]:
    """What sends the spans, and what knows why that failed, if it is not the log of the exporter."""
    if settings.text("OTEL_TRACES_EXPORTER") == "console":
        return ConsoleSpanExporter(formatter=lambda span: f"{span.to_json(indent=None)}\n"), None
    # The specification says milliseconds, and the exporters of this language take seconds.
    timeout = int(settings.of_exporter("TIMEOUT")) / 1000
    # Each takes 6 to 15 MB. No proxy of the environment is used, as for no other server.
    if settings.of_exporter("PROTOCOL") == "grpc":
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # Its core writes to standard error.
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as by_grpc  # noqa: PLC0415

        options = (("grpc.enable_http_proxy", 0),)
        return by_grpc.OTLPSpanExporter(timeout=timeout, channel_options=options), None  # type: ignore[arg-type] # They take numbers.
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as by_http  # noqa: PLC0415

    from server.telemetry.collector_session import CollectorSession  # noqa: PLC0415

    session = CollectorSession()
    return by_http.OTLPSpanExporter(timeout=timeout, session=session), lambda: session.problem

"""What the server does, told as traces: the seam between those who do it and ``spans``, which only an exporter loads."""

import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import NamedTuple

from structlog.contextvars import bound_contextvars

from server.span_settings import SpanSettings
from storage.interface import Point

_TRACEPARENT = re.compile(r"(?!ff|00.{53}.)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
"""https://www.w3.org/TR/trace-context-2/#traceparent-header: versions after the first, 00, may have more at the end."""


class Asked(NamedTuple):
    """A request of the sidecar, as far as its span tells of it."""

    method: str
    """Of those that HTTP knows, or ``other``."""

    route: str | None
    """The path with its placeholders; None where nothing is there."""

    path: str
    """As it was sent, without the query."""

    scheme: str
    client: str | None
    """The address."""

    traceparent: str
    """The header of the caller; empty where there is none."""

    tracestate: str


Answered = Callable[[int], None]
"""To be called with the status."""

CameTo = Callable[[Point, int], None]
"""To be called with the point that was reached and the number of records."""


def _told_nobody(*_: object) -> None:
    pass


_NOTHING: AbstractContextManager[Callable[..., None]] = nullcontext(_told_nobody)


@contextmanager
def _caller(trace_id: str, span_id: str) -> Iterator[Answered]:
    with bound_contextvars(trace_id=trace_id, span_id=span_id):
        yield _told_nobody


class Traces:
    """Makes no span. The lines that are logged within a request have the ids of its caller's, if that sent some."""

    def request(self, asked: Asked) -> AbstractContextManager[Answered]:
        """While a request of the sidecar is answered."""
        found = _TRACEPARENT.fullmatch(asked.traceparent)
        return _NOTHING if found is None else _caller(*found.group(1, 2))

    def commit(self, store: str) -> AbstractContextManager[CameTo]:  # noqa: ARG002
        """While a store, of this product, commits; a part of what is done already."""
        return _NOTHING

    def apply(self, at: Point | None) -> AbstractContextManager[CameTo]:  # noqa: ARG002
        """While what was committed since this point, or everything, comes to be served: a trace of its own, or a part of the
        request for it."""
        return _NOTHING


@asynccontextmanager
async def open_traces(settings: SpanSettings | None) -> AsyncIterator[Traces]:
    """What the settings say. At the end what was not sent yet is sent, in a short time."""
    if settings is None:
        yield Traces()
        return
    # OpenTelemetry reads variables there, some as it is loaded: those that were checked, and no others.
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[name]
    os.environ.update(settings.environment())
    from server.telemetry.spans import open_spans  # noqa: PLC0415 - 6 MB and 150 ms that only those with an exporter pay

    async with open_spans(settings) as spans:
        yield spans

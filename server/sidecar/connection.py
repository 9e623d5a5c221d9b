"""One connection of the sidecar: what the HTTP library itself refuses is told as every other failure."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError, LineTooLong

from server.sidecar.errors import Problem, problem_response

MAX_LINE_BYTES = 65_536
"""Of the first line of a request: thousand characters of any script fit into a name, a reason and a cursor, percent-encoded."""

MAX_HEADER_BYTES = 16_384
"""Of one header: a token that is too long is to be refused as such, with its line in the log."""

OPTIONS: Mapping[str, Any] = {
    "access_log": None,
    "keepalive_timeout": 75.0,
    "max_line_size": MAX_LINE_BYTES,
    "max_field_size": MAX_HEADER_BYTES,
}
"""Of each connection."""

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Server": "tracing-config",
}


class Connection(web.RequestHandler):
    """Speaks HTTP with one client."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what never became a request of the application. The library's own text would repeat what was sent."""
        super().handle_error(request, status, exc, message)  # Fails where an answer is on its way already.
        response = problem_response(_problem(status, exc))
        response.headers.update(SECURITY_HEADERS)
        response.force_close()
        return response


def _problem(status: int, error: BaseException | None) -> Problem:
    if status >= 500:
        return Problem(status, "internal-error", "the request failed through a defect; the log has it")
    if isinstance(error, LineTooLong):
        detail = f"the first line has more than {MAX_LINE_BYTES} bytes, or a header more than {MAX_HEADER_BYTES}"
        return Problem(status, "malformed-request", detail)
    if isinstance(error, ContentEncodingError):
        return Problem(status, "malformed-body", "Content-Encoding: send the body as it is, or with gzip or deflate")
    return Problem(status, "malformed-request", "this is no HTTP/1.1 request that can be answered")

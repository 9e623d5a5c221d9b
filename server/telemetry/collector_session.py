"""How a collector of spans is spoken with over HTTP: as any server, whose answers are bounded and must make sense."""

from typing import Any

from requests import PreparedRequest, RequestException, Response, Session

MAX_ANSWER_BYTES = 4096
"""An answer says almost nothing. The connection of a longer one is closed, unread."""


class CollectorSession(Session):
    """The library's own would read an answer of any length, and its caller takes a redirect or a web page for success."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False  # Proxies and passwords of the environment: no other server is reached through them either.

    def send(self, request: PreparedRequest, **options: Any) -> Response:
        """Raises RequestException: nobody answered, or no collector."""
        with super().send(request, **{**options, "stream": True}) as response:
            response.raw.read(MAX_ANSWER_BYTES)
            if 300 <= response.status_code < 400:
                raise RequestException(f"it redirects to elsewhere, with {response.status_code}")
            if response.ok and response.headers.get("Content-Type", "").startswith("text/html"):
                raise RequestException("it is no collector: it answers with a web page")
        return response

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
        self.problem = ""
        """Why the last request that failed did so."""

    def send(self, request: PreparedRequest, **options: Any) -> Response:
        """Raises RequestException: nobody answered, or no collector."""
        try:
            with super().send(request, **{**options, "stream": True}) as response:
                response.raw.read(MAX_ANSWER_BYTES)
                _check(response)
        except RequestException as error:
            self.problem = _cause(error)
            raise
        if not response.ok:
            self.problem = f"it answers {response.status_code}"
        return response


def _check(response: Response) -> None:
    if 300 <= response.status_code < 400:
        raise RequestException(f"it redirects to elsewhere, with {response.status_code}")
    if response.ok and response.headers.get("Content-Type", "").startswith("text/html"):
        raise RequestException("it is no collector: it answers with a web page")


def _cause(error: RequestException) -> str:
    """Without what the library tells of its pool and its attempts, and never what was sent."""
    inner = error.args[0] if error.args else error
    return str(getattr(inner, "reason", inner))

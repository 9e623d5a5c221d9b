"""What an HTTP client is told where there is no answer: the same on every poll server, in Jaeger's form."""

from typing import NamedTuple

from server.answers import BadPoll, NotReady

RETRY_SECONDS = 5


class Refusal(NamedTuple):
    """A whole response."""

    status: int
    headers: dict[str, str]
    body: bytes


def refusal(error: BadPoll | NotReady) -> Refusal:
    """What a poll gets that raised this."""
    if isinstance(error, NotReady):
        return _plain(503, str(error), {"retry-after": str(RETRY_SECONDS)})
    return _plain(400, str(error))


def method_not_allowed(allowed: str) -> Refusal:
    """What a request gets whose method is not among the allowed ones."""
    return _plain(405, f"the methods here are {allowed}", {"allow": allowed})


def _plain(status: int, text: str, headers: dict[str, str] | None = None) -> Refusal:
    # As Go's http.Error writes it.
    fixed = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}
    return Refusal(status, fixed | (headers or {}), f"{text}\n".encode())

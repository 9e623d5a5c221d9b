"""Why a request is not let in."""

from typing import Literal, get_args

Reason = Literal["no-token", "too-long", "unknown-token", "expired", "not-yet-valid", "bad-claims", "forbidden"]
"""A label of the counter; ``forbidden`` is 403, the others are 401."""

REASONS: tuple[Reason, ...] = get_args(Reason)


class Refusal(Exception):
    """Is raised for a token that is not taken. The message is for the client and the log: it never holds the token."""

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason: Reason = reason
        super().__init__(message)

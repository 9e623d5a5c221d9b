"""A span that says of itself that the doctor sent it, to see whether a target takes spans."""

import secrets
import time
from typing import NamedTuple

SERVICE = "tracing-config-doctor"
"""The service that it is found under."""

NAME = "tracing-config doctor"

ATTRIBUTE = "tracing_config.doctor"
"""Is true in it, and in no other span."""

MICROSECONDS = 1000
"""That it is said to have taken."""


class MarkedSpan(NamedTuple):
    """What each target says in its own format."""

    trace_id: str
    """32 hexadecimal digits, as of no other trace."""

    span_id: str
    started: int
    """Microseconds since the epoch."""


def marked_span() -> MarkedSpan:
    """A new one, of this moment."""
    return MarkedSpan(secrets.token_hex(16), secrets.token_hex(8), time.time_ns() // 1000 - MICROSECONDS)

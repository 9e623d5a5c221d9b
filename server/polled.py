"""A name that was polled: its answers, and the requests that lead to them."""

import msgspec

SPELLINGS = 4
"""How many spellings of one name (extra parameters, unknown fields) are remembered for each protocol."""

REMEMBERED_BYTES = 512
"""Longer requests are answered through their name: whoever sends large ones must not fill the memory."""


class Polled(msgspec.Struct, eq=False, gc=False):
    """What is remembered of one name, in both protocols.

    The garbage collector does not walk these: there are as many as services, and none can be part of a cycle.
    """

    name: str
    generation: int
    """The answers hold while this is the generation of ``Answers``."""
    recent: bool = True
    framed: bytes | None = None
    json: bytes | None = None
    frames: tuple[bytes, ...] = ()
    queries: tuple[bytes, ...] = ()


def remember(polled_by: dict[bytes, Polled], known: tuple[bytes, ...], request: bytes, polled: Polled) -> tuple[bytes, ...]:
    """Find the name by this request from now on, unless it is long or has enough spellings; its spellings are returned."""
    if len(known) >= SPELLINGS or len(request) > REMEMBERED_BYTES or request in polled_by:
        return known
    polled_by[request] = polled
    return (*known, request)

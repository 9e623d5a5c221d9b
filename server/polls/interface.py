"""What every poll server is, and the limits that all of them keep."""

from collections.abc import Mapping
from typing import Protocol

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""

GRACE_SECONDS = 10.0
"""How long a stop waits, at most, for polls that are under way."""

IDLE_SECONDS = 600.0
"""How long a connection without a request is kept: some clients poll every five minutes."""

HEAD_SECONDS = 10.0
"""How long the head of a request may take to arrive."""

BODY_SECONDS = 10.0
"""How long a request's body may pause."""

WRITE_SECONDS = 30.0
"""How long a client may leave an answer unread."""

MAX_REQUEST_LINE = 16 * 1024
"""Bytes in the first line of an HTTP/1.1 request: the longest name needs 6,144 of them percent-encoded."""

MAX_HEAD = 64 * 1024
"""Bytes in the head of a request."""

MAX_BODY = 64 * 1024
"""Bytes in a request's body, or in one message of a stream, before and after decompression."""

MAX_STREAMS = 256
"""Requests under way at once on one HTTP/2 connection."""


class PollServer(Protocol):
    """Answers polls from memory, and beside them gRPC health and reflection.

    It is constructed with the ``Answers`` and with sockets that ``server.listeners`` opened, which are its own from then on.
    """

    async def start(self) -> None:
        """Accept connections from now on.

        Raises:
            CannotListen: somebody else took a port in the meantime.
        """

    def own_addresses(self) -> Mapping[str, Address]:
        """Where this process itself polls over each protocol, ``grpc`` and ``http``: without TLS. Once it has started."""
        ...

    def set_serving(self, serving: bool) -> None:
        """Tell clients whether to come here: those that ask for health, and, when told no, each HTTP/1.1 client by an answer
        that ends its connection. A connection that a stop closes may have a request on its way.

        Polls are answered either way. At first health says no, and connections are kept.
        """

    async def stop(self) -> None:
        """Refuse connections from now on, end open streams, let polls under way finish, then close every connection.

        Waits for polls as long as the server was told when it was constructed. May be called twice, and without a start.
        """

"""Polls over TLS, whichever poll server answers them: TLS ends here, and is passed on through private Unix sockets.

Both poll servers could end TLS themselves. But h2corn would have to drop every connection for a new certificate, and neither
tells which client was refused, and why.
"""

import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from server.certificates import Certificate
from server.listeners import connections_limit, listen
from server.polls.interface import PollServer
from server.polls.relay import DESCRIPTORS, Relays
from server.tls_listener import Refusals, TlsListener

Construct = Callable[[Sequence[socket.socket], Sequence[socket.socket]], PollServer]


class TlsPollServer:
    """See ``PollServer``."""

    def __init__(
        self,
        construct: Construct,
        grpc_sockets: Sequence[socket.socket],
        http_sockets: Sequence[socket.socket],
        certificate: Certificate,
        refusals: Refusals,
    ) -> None:
        """``construct`` makes the server behind, from its gRPC and its HTTP sockets."""
        self._construct = construct
        self._grpc_sockets, self._http_sockets = grpc_sockets, http_sockets
        self._certificate, self._refusals = certificate, refusals
        self._relays = Relays(connections_limit(DESCRIPTORS))
        self._listeners: list[TlsListener] = []
        self._folder: Path | None = None
        self._server: PollServer | None = None

    async def start(self) -> None:
        for outer in (*self._grpc_sockets, *self._http_sockets):
            listen(outer)
        # Of mode 0700: nobody but this user comes to the server behind, past the handshake.
        self._folder = Path(tempfile.mkdtemp(prefix="tracing-config-"))
        grpc, http = (
            [_unix_listener(self._folder / f"{kind}-{number}") for number in range(len(sockets))]
            for kind, sockets in (("grpc", self._grpc_sockets), ("http", self._http_sockets))
        )
        self._server = self._construct(grpc, http)
        await self._server.start()
        for outer, behind in zip((*self._grpc_sockets, *self._http_sockets), (*grpc, *http), strict=True):
            protocol = self._relays.to(behind.getsockname())
            self._listeners.append(TlsListener(outer, self._certificate, protocol, self._refusals))
            self._listeners[-1].start()

    def set_serving(self, serving: bool) -> None:
        if self._server is not None:
            self._server.set_serving(serving)

    async def stop(self) -> None:
        while self._listeners:
            await self._listeners.pop().close()
        for outer in (*self._grpc_sockets, *self._http_sockets):
            outer.close()
        if self._server is not None:
            await self._server.stop()
        await self._relays.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _unix_listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    listener.bind(str(path))
    return listener

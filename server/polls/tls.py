"""Polls over TLS, whichever poll server answers them: TLS ends here, and is passed on through private Unix sockets.

Both poll servers could end TLS themselves. But h2corn would have to drop every connection for a new certificate, and neither
tells which client was refused, and why.
"""

import asyncio
import os
import socket
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from server.certificates import Certificate
from server.listeners import CannotListen, connections_limit, listen
from server.polls.interface import Address, PollServer
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
        self._sockets = (*grpc_sockets, *http_sockets)
        self._certificate, self._refusals = certificate, refusals
        self._relays = Relays(connections_limit(DESCRIPTORS))
        self._listeners: list[TlsListener] = []
        self._behind: list[int] = []
        self._server: PollServer | None = None

    async def start(self) -> None:
        for outer in self._sockets:
            listen(outer)
        try:
            # Of mode 0700: nobody but this user comes to the server behind, past the handshake.
            with tempfile.TemporaryDirectory(prefix="tracing-config-") as folder:
                descriptor = os.open(folder, os.O_PATH)
                try:  # Reached by its descriptor, its path may be longer than that of a socket.
                    await self._start_behind(Path(f"/proc/self/fd/{descriptor}"))
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise CannotListen(
                f"no private socket for polls over TLS can be made: {error.strerror or error}; name another folder in TMPDIR"
            ) from None
        for outer, behind in zip(self._sockets, self._behind, strict=True):
            protocol = self._relays.to(_path(behind))
            self._listeners.append(TlsListener(outer, self._certificate, protocol, self._refusals))
            self._listeners[-1].start()

    async def _start_behind(self, folder: Path) -> None:
        grpc, http = (
            [_unix_listener(folder / f"{kind}-{number}") for number in range(len(sockets))]
            for kind, sockets in (("grpc", self._grpc_sockets), ("http", self._http_sockets))
        )
        self._server = self._construct(grpc, http)
        await self._server.start()
        # They are reached through descriptors of their own: whoever clears the folder for temporary files does no harm.
        self._behind = [os.open(listener.getsockname(), os.O_PATH) for listener in (*grpc, *http)]

    def own_addresses(self) -> Mapping[str, Address]:
        """Behind the end of TLS: this server may have no certificate that it lets clients in by."""
        return {"grpc": _path(self._behind[0]), "http": _path(self._behind[-1])}

    def set_serving(self, serving: bool) -> None:
        if self._server is not None:
            self._server.set_serving(serving)

    async def stop(self) -> None:
        listeners, self._listeners = self._listeners, []
        await asyncio.gather(*(listener.close() for listener in listeners))
        for outer in self._sockets:
            outer.close()
        if self._server is not None:
            await self._server.stop()
        await self._relays.close()
        while self._behind:
            os.close(self._behind.pop())


def _path(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


def _unix_listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    listener.bind(str(path))
    return listener

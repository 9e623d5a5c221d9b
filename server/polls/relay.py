"""Passes connections on to a Unix socket, both ways: from where TLS ended to the poll server behind."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import cast

DESCRIPTORS = 3
"""Of each connection: the client's, and both ends of the one it is passed on through."""

FLUSH_SECONDS = 1.0
"""For what was answered to leave, at a stop."""

_READ = memoryview(bytearray(64 * 1024))
"""Shared by all connections: what was read is passed on before anything else is. Without it the TLS of uvloop makes a quarter
of a megabyte for each read, which was seen to cost 20 µs."""


class Relays:
    """All connections that are passed on."""

    def __init__(self, limit: int) -> None:
        """More than ``limit`` connections at once are closed as they come; 0: there is no limit."""
        self._limit = limit
        self._clients: set[_Client] = set()

    def to(self, path: str) -> Callable[[], asyncio.BaseProtocol]:
        """Makes the protocol of a client's connection, to be passed on to the socket at ``path``."""
        return partial(_Client, self._clients, self._limit, path)

    async def close(self) -> None:
        """Close what is still open; answers that are on their way have a moment to leave."""
        for client in tuple(self._clients):
            client.close()
        if self._clients:
            await asyncio.wait([client.lost for client in self._clients], timeout=FLUSH_SECONDS)
        for client in tuple(self._clients):
            client.abort()


class _End(asyncio.BufferedProtocol):
    """One of two connections. Neither is read faster than the other takes it."""

    __slots__ = ("other", "transport")

    def __init__(self, other: "_End | None" = None) -> None:
        self.other = other
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, _size: int) -> memoryview:  # asyncio slices it: a slice must be no copy
        return _READ

    def buffer_updated(self, size: int) -> None:
        self.pass_on(bytes(_READ[:size]))

    def pass_on(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        self.transport = None
        if self.other is not None:
            self.other.close()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()


class _Client(_End):
    __slots__ = ("_clients", "_early", "_joining", "_limit", "_path", "lost")

    def __init__(self, clients: "set[_Client]", limit: int, path: str) -> None:
        super().__init__()
        self._clients, self._limit, self._path = clients, limit, path
        self._early: list[bytes] = []
        self._joining: asyncio.Task[None] | None = None
        self.lost = asyncio.get_running_loop().create_future()
        """Is done once the connection is gone."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._limit and len(self._clients) >= self._limit:
            self.abort()  # Closing would wait for the client's goodbye.
            return
        self._clients.add(self)
        self._joining = asyncio.create_task(self._join())

    async def _join(self) -> None:
        try:
            _, server = await asyncio.get_running_loop().create_unix_connection(partial(_End, self), self._path)
        except OSError:  # It is being stopped.
            self.abort()
            return
        if self.transport is None:
            server.close()
            return
        self.other = server
        for data in self._early:
            super().pass_on(data)
        self._early.clear()

    def pass_on(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        else:
            super().pass_on(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._clients.discard(self)
        if not self.lost.done():
            self.lost.set_result(None)
        super().connection_lost(error)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

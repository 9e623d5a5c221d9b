"""TLS before a server that has none, as a proxy on its machine ends it. True to Redis, whose TLS begins with the first byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trustme


class TlsFront:
    """Decrypts what comes, and passes it on to a port of this machine. Its certificate may be replaced while it runs."""

    def __init__(self, port: int, certificate: trustme.LeafCert) -> None:
        self._to = port
        self._certificate = certificate
        self._connections: set[asyncio.StreamWriter] = set()

    def use(self, certificate: trustme.LeafCert) -> None:
        """Show another certificate from now on; connections that are open end."""
        self._certificate = certificate
        for connection in self._connections:
            connection.transport.abort()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        """Listen on the port that is given."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = self._choose
        self._certificate.configure_cert(context)
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for connection in self._connections:
                connection.transport.abort()

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._certificate.configure_cert(context)
        connection.context = context

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._connections |= {writer, server_writer}
        with suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
            await asyncio.gather(_pass_on(reader, server_writer), _pass_on(server_reader, writer))
        for end in (writer, server_writer):
            end.transport.abort()
        self._connections -= {writer, server_writer}


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.transport.abort()

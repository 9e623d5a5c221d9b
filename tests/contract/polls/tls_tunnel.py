"""Lets clients that speak no TLS talk to a server that speaks nothing else."""

import asyncio
import ssl
from contextlib import suppress


class TlsTunnel:
    """Passes on what comes in on its own port to another one of this machine, over TLS."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._target = 0
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()

    async def open(self, target: int) -> int:
        """The port from which to ``target``."""
        self._target = target
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_server = await asyncio.open_connection("127.0.0.1", self._target, ssl=self._context)
        except OSError:
            writer.transport.abort()
            return
        for source, sink in ((reader, to_server[1]), (to_server[0], writer)):
            task = asyncio.create_task(_pass_on(source, sink))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()

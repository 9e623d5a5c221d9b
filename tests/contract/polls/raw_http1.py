"""HTTP/1.1 by hand: bytes that no client library would send, on a connection that the test holds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from tests.contract.polls.servers import SECONDS


class RawHttp1:
    """A connection on which one request after the other is made."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int) -> AsyncIterator[Self]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def get(self, target: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a request target, byte for byte."""
        return await self.send(b"GET " + target + b" HTTP/1.1\r\nHost: test\r\n\r\n")

    async def send(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a whole request."""
        self.write(request)
        async with asyncio.timeout(SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split(" ")[1]), headers, body

    async def ended(self) -> bytes:
        """What comes until the server closes the connection."""
        async with asyncio.timeout(SECONDS):
            return await self._reader.read()

"""HTTP/2 and gRPC by hand, for what no real client sends."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Self

import h2.config
import h2.connection
import h2.events
from h2.connection import ConnectionInputs, ConnectionState

from tests.contract.polls.servers import SECONDS

GRPC_HEADERS = (("content-type", "application/grpc"), ("te", "trailers"))


class RawHttp2:
    """An HTTP/2 connection whose frames a test writes and reads itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connection = h2.connection.H2Connection(
            h2.config.H2Configuration(header_encoding="utf-8", validate_outbound_headers=False)
        )
        # h2 takes a GOAWAY for the end of the connection. From a server that stops it is the beginning of the end.
        machine = self.connection.state_machine
        goes_on = {(ConnectionState.CLIENT_OPEN, ConnectionInputs.RECV_GOAWAY): (None, ConnectionState.CLIENT_OPEN)}
        machine._transitions = machine._transitions | goes_on
        self._reader = reader
        self._writer = writer
        self._events: list[h2.events.Event] = []
        self.ended = False
        """Whether the server closed the connection."""

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int) -> AsyncIterator[Self]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        raw = cls(reader, writer)
        raw.connection.initiate_connection()
        raw.flush()
        try:
            yield raw
        finally:
            writer.close()

    def flush(self) -> None:
        self._writer.write(self.connection.data_to_send())

    def request(
        self,
        path: str,
        body: bytes = b"",
        *,
        end: bool = True,
        method: str = "POST",
        headers: Sequence[tuple[str | bytes, str | bytes]] = GRPC_HEADERS,
    ) -> int:
        """Send a request, or its beginning; its stream is returned."""
        stream = self.connection.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "http"), (":authority", "test"), (":path", path)]
        self.connection.send_headers(stream, [*pseudo, *headers])
        self.send(stream, body, end=end)
        return stream

    def send(self, stream: int, body: bytes, *, end: bool = True) -> None:
        self.connection.send_data(stream, body, end_stream=end)
        self.flush()

    def reset(self, stream: int) -> None:
        self.connection.reset_stream(stream)
        self.flush()

    async def until(self, wanted: Callable[[h2.events.Event], bool]) -> list[h2.events.Event]:
        """Everything that comes until what is wanted has come, or until the server closes the connection."""
        deadline = time.monotonic() + SECONDS
        while not any(map(wanted, self._events)) and not self.ended:
            data = await asyncio.wait_for(self._reader.read(65_536), deadline - time.monotonic())
            self.ended = not data
            self._events += self.connection.receive_data(data)
            self.flush()
        events, self._events = self._events, []
        return events

    async def response(self, stream: int) -> tuple[dict[str, str], bytes]:
        """The headers and trailers of a response, as one, and its body."""
        headers: dict[str, str] = {}
        body = b""
        ends = (h2.events.StreamEnded, h2.events.StreamReset)
        for event in await self.until(lambda event: isinstance(event, ends) and event.stream_id == stream):
            if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                headers |= {str(name): str(value) for name, value in event.headers}
            elif isinstance(event, h2.events.DataReceived):
                body += event.data
            elif isinstance(event, h2.events.StreamReset):
                headers["reset"] = str(event.error_code)
        return headers, body


def frame(message: bytes) -> bytes:
    """A gRPC message with its length before it."""
    return b"\0" + len(message).to_bytes(4, "big") + message

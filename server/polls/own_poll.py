"""One poll of this very server over its socket, by hand: as a client sends it, without a client's library."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from urllib.parse import quote

from sampling.pb.jaeger.api_v2.sampling_pb2 import SamplingStrategyParameters
from server.polls.interface import Address
from server.polls.services import POLL

CHUNK_BYTES = 64 * 1024
"""An answer is taken in such pieces and not kept: it may be as long as all operation strategies together."""

# Frames and their flags, see RFC 9113. Header fields are literals, which are never indexed, see RFC 7541.
_DATA, _HEADERS, _RESET, _SETTINGS, _GOAWAY, _WINDOW = 0, 1, 3, 4, 7, 8
_ACK = _END_STREAM = 1
_END_HEADERS = 4
_INITIAL_WINDOW = b"\0\x04\x7f\xff\xff\xff"
"""A server waits for nothing before it has sent its whole answer."""
_MORE_WINDOW = (2**31 - 1 - 65_535).to_bytes(4, "big")
_BEGIN = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_POST, _HTTP = b"\x83", b"\x86"
_PATH, _AUTHORITY, _CONTENT_TYPE = b"\x04", b"\x01", b"\x0f\x10"


class OwnPollFailed(Exception):
    """Is raised where the server does not answer its own poll as it should."""


async def poll_http(address: Address, service: str) -> float:
    """Poll over HTTP/1.1; the seconds from sending the request to the last byte of the answer.

    Raises:
        OwnPollFailed, OSError, EOFError, ValueError: there is no whole answer.
    """
    request = f"GET /sampling?service={quote(service, safe='')} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    async with _connected(address) as (reader, writer):
        begin = perf_counter()
        writer.write(request.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise OwnPollFailed(f"it is answered {head[:100].splitlines()[0]!r}")
        await _skip(reader, int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
        return perf_counter() - begin


async def poll_grpc(address: Address, service: str) -> float:
    """Poll over gRPC; as ``poll_http``. The status is not looked at: no other one than OK has a message before it."""
    message = SamplingStrategyParameters(serviceName=service).SerializeToString()
    head = (
        (_POST + _HTTP)
        + (_PATH + _text(POLL) + _AUTHORITY + _text("localhost"))
        + (_CONTENT_TYPE + _text("application/grpc") + b"\0" + _text("te") + _text("trailers"))
    )
    request = _frame(_HEADERS, _END_HEADERS, 1, head) + _frame(
        _DATA, _END_STREAM, 1, b"\0" + len(message).to_bytes(4, "big") + message
    )
    async with _connected(address) as (reader, writer):
        begin = perf_counter()
        writer.write(_BEGIN + _frame(_SETTINGS, 0, 0, _INITIAL_WINDOW) + _frame(_WINDOW, 0, 0, _MORE_WINDOW) + request)
        promised, received = b"", 0
        while True:
            kind, flags, stream, length = await _next_frame(reader)
            if kind == _DATA and stream == 1:
                received += length
                missing = min(length, 5 - len(promised))
                promised += await reader.readexactly(missing)
                length -= missing
            elif kind == _SETTINGS and not flags & _ACK:
                writer.write(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind in (_RESET, _GOAWAY):
                raise OwnPollFailed("the stream is reset")
            await _skip(reader, length)
            if stream == 1 and kind in (_DATA, _HEADERS) and flags & _END_STREAM:
                break
        if len(promised) < 5 or received != 5 + int.from_bytes(promised[1:], "big"):
            raise OwnPollFailed("it is answered without a whole message")
        return perf_counter() - begin


@asynccontextmanager
async def _connected(address: Address) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    opening = asyncio.open_unix_connection(address) if isinstance(address, str) else asyncio.open_connection(*address)
    reader, writer = await opening
    try:
        yield reader, writer
    finally:
        writer.close()


async def _next_frame(reader: asyncio.StreamReader) -> tuple[int, int, int, int]:
    """Its kind, flags, stream and length; the payload follows."""
    head = await reader.readexactly(9)
    return head[3], head[4], int.from_bytes(head[5:], "big"), int.from_bytes(head[:3], "big")


async def _skip(reader: asyncio.StreamReader, length: int) -> None:
    while length:
        piece = await reader.readexactly(min(length, CHUNK_BYTES))
        length -= len(piece)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _text(text: str) -> bytes:
    """A string of fewer than 127 bytes as HPACK has it, as it is."""
    return bytes((len(text),)) + text.encode()


POLLS: dict[str, Callable[[Address, str], Awaitable[float]]] = {"http": poll_http, "grpc": poll_grpc}
"""By protocol."""

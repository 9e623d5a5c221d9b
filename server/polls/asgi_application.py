"""The ASGI application behind h2corn: plain polls on a short path of their own, all other RPCs through connectrpc.

A plain poll costs one ``receive``, messages that are built beforehand, and no object but the one with its answer.
"""

import asyncio
from urllib.parse import quote

from h2corn import HTTPResponseStart, HTTPResponseTrailers, HTTPScope, Receive, ReceiveMessage, Scope, Send, SendMessage

from server.answers import Answers, BadPoll, NotReady
from server.polls.asgi_services import ServicesApplication
from server.polls.interface import MAX_BODY
from server.polls.refusals import Refusal, method_not_allowed, refusal
from server.polls.services import METHODS, POLL, STREAMS

CONTENT_TYPE = b"content-type"
CLOSE = (b"connection", b"close")
GRPC = (CONTENT_TYPE, b"application/grpc")
GRPC_PROTO = (CONTENT_TYPE, b"application/grpc+proto")
GRPC_WEB = (CONTENT_TYPE, b"application/grpc-web")

TRAILERS = "http.response.trailers"
"""h2corn lets us send trailers to clients that say ``te: trailers``, as gRPC demands of all of them."""

JSON_START: HTTPResponseStart = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(CONTENT_TYPE, b"application/json")],
}
GRPC_START: HTTPResponseStart = {"type": "http.response.start", "status": 200, "headers": [GRPC], "trailers": True}
GRPC_OK: HTTPResponseTrailers = {"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")]}

# gRPC's status codes.
INVALID_ARGUMENT = b"3"
RESOURCE_EXHAUSTED = b"8"
UNIMPLEMENTED = b"12"
INTERNAL = b"13"
UNAVAILABLE = b"14"


class Application:
    """HTTP polls on every path, RPCs on theirs."""

    def __init__(self, answers: Answers, services: ServicesApplication) -> None:
        self._answers = answers
        self._services = services
        self.leaving = False
        """Whether each answer over HTTP/1.1 ends its connection. HTTP/2 has a frame for that, sent at the stop."""
        self.streams = 0
        """How many answers are streams, right now."""
        self._no_streams = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        if self.leaving and scope["http_version"] == "1.1":
            send = _last(send)
        method = scope["method"]
        if method == "POST":
            headers = scope["headers"]
            plain = scope["path"] == POLL and (GRPC in headers or GRPC_PROTO in headers) and TRAILERS in scope["extensions"]
            await (self._poll if plain else self._call)(scope, receive, send)
        elif method in ("GET", "HEAD"):
            try:
                body = self._answers.json(scope["query_string"])
            except (BadPoll, NotReady) as error:
                await _refuse(send, refusal(error))
            else:
                await send(JSON_START)
                await send({"type": "http.response.body", "body": body})
        else:
            await _refuse(send, method_not_allowed("GET, HEAD, POST" if scope["path"] in METHODS else "GET, HEAD"))

    async def streams_ended(self) -> None:
        """Wait for every answer that is a stream to be over."""
        while self.streams:
            self._no_streams.clear()
            await self._no_streams.wait()

    async def _call(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        media_type = next((value for name, value in scope["headers"] if name == CONTENT_TYPE), b"")
        web = media_type.startswith(b"application/grpc-web")
        grpc = media_type.startswith(b"application/grpc")
        if grpc and not web and TRAILERS not in scope["extensions"]:
            await _fail(send, INTERNAL, "gRPC needs the request header te: trailers")
        elif scope["path"] in STREAMS:
            await self._stream(scope, receive, send)
        elif scope["path"] in METHODS:
            await self._other(scope, receive, send)
        elif grpc:
            await _fail(send, UNIMPLEMENTED, "unknown method", GRPC_WEB if web else GRPC)
        else:
            await _refuse(send, method_not_allowed("GET, HEAD"))

    async def _poll(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > MAX_BODY:
                await _fail(send, RESOURCE_EXHAUSTED, f"the body is larger than {MAX_BODY} bytes")
                return
        try:
            answer = self._answers.framed(body)
        except BadPoll as error:
            await _fail(send, INVALID_ARGUMENT, str(error))
        except NotReady as error:
            await _fail(send, UNAVAILABLE, str(error))
        else:
            if answer is None:
                await self._other(scope, _again(body, receive), send)
                return
            await send(GRPC_START)
            await send({"type": "http.response.body", "body": answer})
            await send(GRPC_OK)

    async def _stream(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        self.streams += 1
        try:
            await self._other(scope, receive, send)
        finally:
            self.streams -= 1
            if not self.streams:
                self._no_streams.set()

    async def _other(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        # connectrpc breaks on a header that is no UTF-8; it needs none of those.
        scope["headers"] = [(name, value) for name, value in scope["headers"] if value.isascii()]
        await self._services(scope, receive, send)


def _last(send: Send) -> Send:
    """For an answer after which its connection is closed, and which says so."""

    async def send_last(message: SendMessage) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], CLOSE]}  # Not in place: answers share theirs.
        await send(message)

    return send_last


async def _refuse(send: Send, refusal: Refusal) -> None:
    headers = [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": refusal.body})


async def _fail(send: Send, status: bytes, text: str, content_type: tuple[bytes, bytes] = GRPC) -> None:
    headers = [content_type, (b"grpc-status", status), (b"grpc-message", quote(text).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body"})


def _again(body: bytes, receive: Receive) -> Receive:
    """What the client sends, from the start, after its whole body was read."""
    unread = [body]

    async def receive_again() -> ReceiveMessage:
        return {"type": "http.request", "body": unread.pop()} if unread else await receive()

    return receive_again

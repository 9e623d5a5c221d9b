"""An HTTP server of the tests: answers as a function says, remembers what it was asked, and fails in every way on request."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, NamedTuple, Self

from tests.services.local_server import free_port

Fault = Literal["hang", "error", "nonsense", "no-http", "redirect", "huge", "slow", "interim"]
"""Accepts and never answers; 500; 200 with no JSON; bytes that are no HTTP; 307 to ``redirect_to``; a body of 1 GiB; a byte
a tenth of a second; 100 (Continue) without end."""

FAULTS: tuple[Fault, ...] = ("hang", "error", "nonsense", "no-http", "redirect", "huge", "slow")
"""All but the flood, which costs the one who takes it a processor."""

MEBIBYTE = bytes(1024 * 1024)
MANY_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000


class Request(NamedTuple):
    """What came in."""

    method: str
    path: str
    """With its query, as it was sent."""

    headers: Mapping[str, str]
    """By lower-case names."""

    body: bytes


class Reply(NamedTuple):
    """What goes out."""

    status: int = 200
    body: bytes = b""
    media_type: str = "application/json"
    headers: Mapping[str, str] = {}


class StandIn:
    """Speaks on a port of its own, which stays the same however often it is stopped and started."""

    def __init__(self, reply: Callable[[Request], Reply]) -> None:
        """``reply`` is called in a thread of the request, one at a time."""
        self._reply = reply
        self._one_at_a_time = threading.Lock()
        self.port = free_port()
        self.requests: list[Request] = []
        self.fault: Fault | None = None
        self.redirect_to = "http://127.0.0.1:1/elsewhere"
        self.sent = 0
        """Bytes of bodies of the fault ``huge`` that clients took, or the kernel for them."""
        self._ended = threading.Event()
        """Of one run, from its start to its stop."""
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        stand_in = self
        ended = self._ended = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # Head and body are sent apart, and would wait for each other for 40 ms.

            def log_message(self, *_: object) -> None:
                pass

            def handle(self) -> None:
                with suppress(ConnectionError):
                    super().handle()

            def _answer(self) -> None:
                stand_in._answer(self, ended)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer  # noqa: N815 - the library's names

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening and end what hangs; open connections end with the next request on them, which nobody remembers."""
        with self._one_at_a_time:
            self._ended.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answer(self, handler: BaseHTTPRequestHandler, ended: threading.Event) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.command, handler.path, headers, body)
        with self._one_at_a_time:
            if ended.is_set():
                handler.close_connection = True
                return
            self.requests.append(request)
            fault = self.fault
            reply = self._reply(request) if fault is None else _FAULTY.get(fault)
        if reply is not None:
            extra = {"Location": self.redirect_to} if fault == "redirect" else {}
            _send(handler, reply, extra)
            return
        handler.close_connection = True
        self._misbehave(handler, fault, ended)

    def _misbehave(self, handler: BaseHTTPRequestHandler, fault: Fault | None, ended: threading.Event) -> None:
        if fault == "hang":
            ended.wait(60)
        elif fault == "no-http":
            handler.wfile.write(b"\x00\xff SSH-2.0-garbage\r\n\r\n" * 10)
        elif fault == "interim":
            while not ended.is_set():
                handler.wfile.write(MANY_INTERIM)
        elif fault == "slow":
            _head(handler, 200, "application/json", 1000)
            for _ in range(600):
                handler.wfile.write(b" ")
                if ended.wait(0.1):
                    return
        else:
            _head(handler, 200, "application/json", 1024 * len(MEBIBYTE))
            for _ in range(1024):
                handler.wfile.write(MEBIBYTE)
                self.sent += len(MEBIBYTE)


_FAULTY: Mapping[Fault, Reply] = {
    "error": Reply(500, b'{"error": "out of order"}'),
    "nonsense": Reply(200, b"\x00<html>certainly not JSON</html>"),
    "redirect": Reply(307, b""),
}


def _send(handler: BaseHTTPRequestHandler, reply: Reply, extra: Mapping[str, str]) -> None:
    _head(handler, reply.status, reply.media_type, len(reply.body), {**reply.headers, **extra})
    if handler.command != "HEAD":
        handler.wfile.write(reply.body)


def _head(
    handler: BaseHTTPRequestHandler, status: int, media_type: str, length: int, headers: Mapping[str, str] | None = None
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", media_type)
    handler.send_header("Content-Length", str(length))
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.end_headers()

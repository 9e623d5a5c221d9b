"""The least that h2corn can do: constant answers, in about ten lines. ``python -m bench.plain_asgi PORT GRPC_HEX JSON``."""

import sys

import uvloop
from h2corn import Config, Receive, Scope, Send, Server

PORT, GRPC_ANSWER, JSON_ANSWER = sys.argv[1], bytes.fromhex(sys.argv[2]), sys.argv[3].encode()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http" and scope["method"] == "POST":
        await receive()
        headers = [(b"content-type", b"application/grpc")]
        await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
        await send({"type": "http.response.body", "body": GRPC_ANSWER})
        await send({"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")]})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": JSON_ANSWER})


config = Config(bind=(f"127.0.0.1:{PORT}",), grpc=True, runtime_threads=1, access_log=False, log_format="json", lifespan="off")
uvloop.run(Server(application, config).serve())

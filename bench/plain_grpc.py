"""The least that ``grpc.aio`` can do: constant bytes. ``python -m bench.plain_grpc PORT GRPC_HEX JSON``."""

import sys
from typing import Any

import grpc
import uvloop

PORT, ANSWER = sys.argv[1], bytes.fromhex(sys.argv[2])[5:]
"""grpcio frames the answer itself."""


async def answer(_request: bytes, _context: "grpc.aio.ServicerContext[Any, Any]") -> bytes:
    return ANSWER


async def main() -> None:
    server = grpc.aio.server()
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]]
    handlers = {"GetSamplingStrategy": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("jaeger.api_v2.SamplingManager", handlers)])
    server.add_insecure_port(f"127.0.0.1:{PORT}")
    await server.start()
    await server.wait_for_termination()


uvloop.run(main())

"""Server reflection (``grpc.reflection.v1alpha``), the same on every poll server: tools ask what can be called here."""

import asyncio
from collections.abc import AsyncIterator

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha.reflection_pb2 import (
    ErrorResponse,
    ExtensionNumberResponse,
    FileDescriptorResponse,
    ListServiceResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
    ServiceResponse,
)

from server.polls.services import SERVICES

NOT_FOUND = 5
"""The gRPC status of a name that is not here."""


class ReflectionService:
    """Describes our services to whoever asks."""

    def __init__(self) -> None:
        self._closed = asyncio.Event()

    def close(self) -> None:
        """End every open stream: a graceful stop would wait for them."""
        self._closed.set()

    async def answers(self, requests: AsyncIterator[ServerReflectionRequest]) -> AsyncIterator[ServerReflectionResponse]:
        """A response to each request, until there are no more or all is closed."""
        closed = asyncio.ensure_future(self._closed.wait())
        try:
            while True:
                request = asyncio.ensure_future(_next(requests))
                try:
                    await asyncio.wait((request, closed), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    request.cancel()
                    await asyncio.wait((request,))
                if request.cancelled() or (asked := request.result()) is None:
                    return
                yield describe(asked)
        finally:
            closed.cancel()


def describe(request: ServerReflectionRequest) -> ServerReflectionResponse:
    """The response to one request. Our messages have no extensions, so nobody finds one."""
    response = ServerReflectionResponse(valid_host=request.host, original_request=request)
    pool = descriptor_pool.Default()
    try:
        match request.WhichOneof("message_request"):
            case "list_services":
                services = [ServiceResponse(name=name) for name in SERVICES]
                response.list_services_response.CopyFrom(ListServiceResponse(service=services))
            case "file_by_filename":
                response.file_descriptor_response.CopyFrom(_file(pool.FindFileByName(request.file_by_filename)))
            case "file_containing_symbol":
                file = pool.FindFileContainingSymbol(request.file_containing_symbol)
                response.file_descriptor_response.CopyFrom(_file(file))
            case "all_extension_numbers_of_type":
                name = pool.FindMessageTypeByName(request.all_extension_numbers_of_type).full_name
                response.all_extension_numbers_response.CopyFrom(ExtensionNumberResponse(base_type_name=name))
            case _:
                raise KeyError
    except KeyError:
        response.error_response.CopyFrom(ErrorResponse(error_code=NOT_FOUND, error_message="not found"))
    return response


def _file(file: FileDescriptor) -> FileDescriptorResponse:
    """Without the files it imports: who wants them asks for them by name."""
    return FileDescriptorResponse(file_descriptor_proto=[file.serialized_pb])


async def _next(requests: AsyncIterator[ServerReflectionRequest]) -> ServerReflectionRequest | None:
    return await anext(requests, None)

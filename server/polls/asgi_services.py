"""Every RPC but the plain poll, through connectrpc: compressed polls, Connect and gRPC-Web, health, reflection, errors."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar

from connectrpc.code import Code
from connectrpc.compat import google_protobuf_codecs
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from sampling.pb.jaeger.api_v2.sampling_pb2 import SamplingStrategyParameters, SamplingStrategyResponse
from server.answers import Answers, BadPoll, NotReady
from server.polls.health_service import HealthService
from server.polls.interface import MAX_BODY
from server.polls.reflection_service import ReflectionService
from server.polls.services import HEALTH_CHECK, HEALTH_WATCH, POLL, REFLECT

Request = TypeVar("Request")
Response = TypeVar("Response")
Context = RequestContext[Any, Any]


class Services:
    """What each method does."""

    def __init__(self, answers: Answers, health: HealthService, reflection: ReflectionService) -> None:
        self._answers = answers
        self._health = health
        self._reflection = reflection

    async def poll(self, request: SamplingStrategyParameters, _: Context) -> SamplingStrategyResponse:
        try:
            return SamplingStrategyResponse.FromString(self._answers.message(request.SerializeToString()))
        except BadPoll as error:
            raise ConnectError(Code.INVALID_ARGUMENT, str(error)) from None
        except NotReady as error:
            raise ConnectError(Code.UNAVAILABLE, str(error)) from None

    async def check(self, request: HealthCheckRequest, _: Context) -> HealthCheckResponse:
        response = self._health.check(request)
        if response is None:
            raise ConnectError(Code.NOT_FOUND, "unknown service")
        return response

    def watch(self, request: HealthCheckRequest, _: Context) -> AsyncIterator[HealthCheckResponse]:
        return self._health.watch(request)

    def reflect(self, requests: AsyncIterator[ServerReflectionRequest], _: Context) -> AsyncIterator[ServerReflectionResponse]:
        return self._reflection.answers(requests)


class ServicesApplication(ConnectASGIApplication[Services]):
    """An ASGI application for the paths of ``METHODS``, and for no other."""

    def __init__(self, services: Services) -> None:
        super().__init__(service=services, endpoints=_endpoints, read_max_bytes=MAX_BODY, codecs=google_protobuf_codecs())

    @property
    def path(self) -> str:
        return "/"


def _endpoints(services: Services) -> Mapping[str, Any]:
    return {
        POLL: Endpoint.unary(
            _method(POLL, SamplingStrategyParameters, SamplingStrategyResponse, StreamType.UNARY), services.poll
        ),
        HEALTH_CHECK: Endpoint.unary(
            _method(HEALTH_CHECK, HealthCheckRequest, HealthCheckResponse, StreamType.UNARY), services.check
        ),
        HEALTH_WATCH: Endpoint.server_stream(
            _method(HEALTH_WATCH, HealthCheckRequest, HealthCheckResponse, StreamType.SERVER_STREAM), services.watch
        ),
        REFLECT: Endpoint.bidi_stream(
            _method(REFLECT, ServerReflectionRequest, ServerReflectionResponse, StreamType.BIDI_STREAM),
            services.reflect,
        ),
    }


def _method(
    path: str, request: type[Request], response: type[Response], stream_type: StreamType
) -> MethodInfo[Request, Response]:
    _, service, name = path.split("/")
    return MethodInfo(
        name=name,
        service_name=service,
        input=request,
        output=response,
        idempotency_level=IdempotencyLevel.NO_SIDE_EFFECTS,
        stream_type=stream_type,
    )

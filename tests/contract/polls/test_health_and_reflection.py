"""The services beside the polls."""

import asyncio

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from tests.contract.polls.raw_http2 import RawHttp2, frame
from tests.contract.polls.servers import CHECK, REFLECT, SECONDS, WATCH, Polls, call, failure, reflection

SERVING = HealthCheckResponse.SERVING
NOT_SERVING = HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = HealthCheckResponse.SERVICE_UNKNOWN

SERVICES = ["", "jaeger.api_v2.SamplingManager"]

INVALID_ARGUMENT = "3"
NOT_FOUND = 5


async def check(channel: grpc.aio.Channel, service: str) -> int:
    """The status that a client is told."""
    response = await call(channel, CHECK, HealthCheckRequest(service=service).SerializeToString())
    return HealthCheckResponse.FromString(response).status


class Watch:
    """A client that is told of every change."""

    def __init__(self, channel: grpc.aio.Channel, service: str) -> None:
        watch = channel.unary_stream(
            WATCH,
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        self._stream = watch(HealthCheckRequest(service=service), timeout=SECONDS)

    async def next(self) -> int:
        """The next status."""
        response = await self._stream.read()
        assert isinstance(response, HealthCheckResponse)
        return response.status


@pytest.mark.parametrize("service", SERVICES)
async def test_a_check_tells_what_was_set_last_and_at_first_not_to_come(polls: Polls, service: str) -> None:
    async with polls.channel() as channel:
        assert await check(channel, service) == NOT_SERVING
        polls.server.set_serving(True)
        assert await check(channel, service) == SERVING
        polls.server.set_serving(False)
        assert await check(channel, service) == NOT_SERVING


async def test_a_check_of_an_unknown_service_is_not_found(polls: Polls) -> None:
    async with polls.channel() as channel:
        status, _ = await failure(call(channel, CHECK, HealthCheckRequest(service="other").SerializeToString()))

    assert status is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("service", SERVICES)
async def test_a_watch_tells_the_status_and_each_change(polls: Polls, service: str) -> None:
    async with polls.channel() as channel:
        watch = Watch(channel, service)
        assert await watch.next() == NOT_SERVING
        polls.server.set_serving(True)
        assert await watch.next() == SERVING
        polls.server.set_serving(True)
        polls.server.set_serving(False)
        assert await watch.next() == NOT_SERVING


async def test_a_watch_of_an_unknown_service_says_so_and_stays_open(polls: Polls) -> None:
    async with polls.channel() as channel:
        unknown, known = Watch(channel, "other"), Watch(channel, "")
        assert await unknown.next() == SERVICE_UNKNOWN
        following = asyncio.ensure_future(unknown.next())
        assert await known.next() == NOT_SERVING
        polls.server.set_serving(True)
        assert await known.next() == SERVING

        assert not following.done()
        following.cancel()


@pytest.mark.parametrize("path", [CHECK, WATCH, REFLECT])
async def test_a_body_that_is_not_the_message_is_an_invalid_argument(polls: Polls, path: str) -> None:
    async with RawHttp2.open(polls.grpc_port) as raw:
        headers, _ = await raw.response(raw.request(path, frame(b"\xff\xff")))

    assert headers["grpc-status"] == INVALID_ARGUMENT


@pytest.mark.parametrize("path", [CHECK, WATCH])
async def test_a_body_that_ends_within_its_message_is_an_invalid_argument(polls: Polls, path: str) -> None:
    async with RawHttp2.open(polls.grpc_port) as raw:
        headers, _ = await raw.response(raw.request(path, b"\0\0\0\0\x09\x0a"))

    assert headers["grpc-status"] == INVALID_ARGUMENT


async def test_a_client_can_learn_the_services_and_their_messages_by_reflection(polls: Polls) -> None:
    def learn() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{polls.grpc_port}") as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            services = set(database.get_services())
            assert services == {
                "grpc.health.v1.Health",
                "grpc.reflection.v1alpha.ServerReflection",
                "jaeger.api_v2.SamplingManager",
            }
            pool = DescriptorPool(database)
            for service in services:
                pool.FindServiceByName(service)
            method = pool.FindMethodByName("jaeger.api_v2.SamplingManager.GetSamplingStrategy")
            assert method.input_type.fields_by_name["serviceName"].number == 1
            assert method.output_type.fields_by_name["operationSampling"].number == 4
            with pytest.raises(KeyError):
                pool.FindServiceByName("jaeger.api_v2.Other")

    await asyncio.to_thread(learn)


@pytest.mark.parametrize(
    ("request_", "answer", "error"),
    [
        (ServerReflectionRequest(file_by_filename="other.proto"), "error_response", NOT_FOUND),
        (ServerReflectionRequest(file_containing_symbol="a.B"), "error_response", NOT_FOUND),
        (ServerReflectionRequest(file_containing_extension={"containing_type": "a.B"}), "error_response", NOT_FOUND),
        (ServerReflectionRequest(all_extension_numbers_of_type="a.B"), "error_response", NOT_FOUND),
        (ServerReflectionRequest(), "error_response", NOT_FOUND),
        (
            ServerReflectionRequest(all_extension_numbers_of_type="grpc.health.v1.HealthCheckRequest"),
            "all_extension_numbers_response",
            0,
        ),
        (
            ServerReflectionRequest(file_containing_symbol="jaeger.api_v2.OperationSamplingStrategy.operation"),
            "file_descriptor_response",
            0,
        ),
    ],
)
async def test_each_question_of_a_reflection_stream_gets_its_answer(
    polls: Polls, request_: ServerReflectionRequest, answer: str, error: int
) -> None:
    async with polls.channel() as channel:
        stream = reflection(channel)
        for _ in range(2):
            await stream.write(request_)
            response = await stream.read()
            assert isinstance(response, ServerReflectionResponse)
            assert response.WhichOneof("message_response") == answer
            assert response.error_response.error_code == error
            assert response.original_request == request_
        await stream.done_writing()

        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK

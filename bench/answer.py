"""The answer that a service must get. A server is measured only once it has given it to a real client."""

import struct
import time
from collections.abc import Callable, Sequence

import grpc
import httpx
import msgspec

from sampling.pb.jaeger.api_v2.sampling_pb2 import (
    OperationSamplingStrategy,
    PerOperationSamplingStrategies,
    ProbabilisticSamplingStrategy,
    SamplingStrategyParameters,
    SamplingStrategyResponse,
)
from server.polls.services import POLL

LONGEST_WAIT_SECONDS = 60.0


class WrongAnswer(Exception):
    """Is raised where a server answers something else."""


class Answer:
    """What ``service`` must be answered: a probability and, where there are any, operations by name.

    It is put together by the generated messages, not by the code that is measured.
    """

    def __init__(self, service: str, rate: float, operations: Sequence[tuple[str, float]] = ()) -> None:
        self.service = service
        probability = ProbabilisticSamplingStrategy(samplingRate=rate)
        self._message = SamplingStrategyResponse(probabilisticSampling=probability)
        self._document: dict[str, object] = {"strategyType": "PROBABILISTIC", "probabilisticSampling": {"samplingRate": rate}}
        if operations:
            rates = [(name, ProbabilisticSamplingStrategy(samplingRate=its_rate)) for name, its_rate in operations]
            per_operation = PerOperationSamplingStrategies(
                defaultSamplingProbability=rate,
                perOperationStrategies=[OperationSamplingStrategy(operation=o, probabilisticSampling=p) for o, p in rates],
            )
            self._message.operationSampling.CopyFrom(per_operation)
            self._document["operationSampling"] = {
                "defaultSamplingProbability": rate,
                "defaultLowerBoundTracesPerSecond": 0,
                "perOperationStrategies": [
                    {"operation": name, "probabilisticSampling": {"samplingRate": its_rate}} for name, its_rate in operations
                ],
                "defaultUpperBoundTracesPerSecond": 0,
            }

    @property
    def request(self) -> bytes:
        """The poll as gRPC sends it, with its frame."""
        return _frame(SamplingStrategyParameters(serviceName=self.service).SerializeToString())

    @property
    def framed(self) -> bytes:
        """The answer as gRPC sends it, with its frame."""
        return _frame(self._message.SerializeToString())

    @property
    def json(self) -> bytes:
        """The answer over HTTP; another server may write its numbers otherwise."""
        return msgspec.json.encode(self._document)

    def check_grpc(self, channel: grpc.Channel) -> None:
        """Poll once.

        Raises:
            WrongAnswer: another answer came, or another status than OK.
        """
        poll: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(POLL)
        try:
            answer = poll(self.request[5:], timeout=10)
        except grpc.RpcError as error:
            raise WrongAnswer(f"{self.service} over gRPC: {error}") from None
        if answer != self.framed[5:]:
            raise WrongAnswer(f"{self.service} over gRPC: {answer.hex()}, not {self.framed[5:].hex()}")

    def check_http(self, client: httpx.Client) -> None:
        """Poll once; ``client`` knows the address.

        Raises:
            WrongAnswer: another answer came, or another status than 200.
        """
        response = client.get("/sampling", params={"service": self.service})
        if response.status_code != 200 or response.json() != self._document:
            raise WrongAnswer(f"{self.service} over HTTP: {response.status_code} {response.text}, not {self.json.decode()}")

    def wait_grpc(self, channel: grpc.Channel, check_alive: Callable[[], object] = object) -> None:
        """Poll until this is what is answered; ``check_alive`` raises where the server has ended.

        Raises:
            WrongAnswer: LONGEST_WAIT_SECONDS are over.
        """
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while True:
            try:
                self.check_grpc(channel)
            except WrongAnswer:
                check_alive()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.002)
            else:
                return


def _frame(message: bytes) -> bytes:
    return struct.pack(">BI", 0, len(message)) + message

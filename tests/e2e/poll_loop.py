"""Clients that never stop polling, and notice everything."""

import threading
import time
from typing import Self

import grpc

from sampling.pb.jaeger.api_v2.sampling_pb2 import SamplingStrategyParameters
from tests.e2e.replica import Replica, poll
from tests.waiting import eventually


class PollLoop:
    """Polls each replica over gRPC with a deadline of a second, about a hundred times a second, and compares every answer."""

    def __init__(self, replicas: list[Replica], service: str, rate: float) -> None:
        self.count, self.slowest = 0, 0.0
        self.failures: list[str] = []
        self._replicas, self._service, self._rate = replicas, service, rate
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(replica,)) for replica in replicas]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    async def more_polls(self, number: int) -> None:
        goal = self.count + number
        await eventually(lambda: self.count >= goal)

    def _run(self, replica: Replica) -> None:
        request = SamplingStrategyParameters(serviceName=self._service)
        with grpc.insecure_channel(replica.grpc_address) as channel:
            ask = poll(channel)
            while not self._stop.wait(0.008):
                started = time.perf_counter()
                try:
                    rate = ask(request, timeout=1).probabilisticSampling.samplingRate
                    if rate != self._rate:
                        self.failures.append(f"answered {rate}")
                except grpc.RpcError as error:
                    self.failures.append(str(error))
                self.count += 1
                self.slowest = max(self.slowest, time.perf_counter() - started)

"""An imaginary company's services: realistic names, a few dozen distinct rates."""

from collections.abc import Sequence
from typing import Any

import msgspec

from bench.answer import Answer
from sampling.records import Key, ServiceConfiguration, encode_record
from sampling.strategy import OperationStrategy, SamplingStrategy
from storage.interface import Write

TEAMS = 250

RATES = tuple(sorted({mantissa / 10**exponent for exponent in (1, 2, 3, 4) for mantissa in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7.5)}))
"""36 probabilities, none of which is the fallback of a service that is not configured."""


class Fleet:
    """So many services with a probability each, and as many ``operations`` each."""

    def __init__(self, services: int, operations: int = 0) -> None:
        self.services = services
        self.operations = operations

    @staticmethod
    def name(index: int) -> str:
        """For example ``team-042-service-00317``."""
        return f"team-{index * 7919 % TEAMS:03}-service-{index:05}"

    @staticmethod
    def rate(index: int) -> float:
        """The probability of a service."""
        return RATES[index % len(RATES)]

    def operation_rates(self, index: int) -> list[tuple[str, float]]:
        """The operations of a service by name."""
        return [(f"GET /api/v1/resource-{number:02}", self.rate(index + number)) for number in range(self.operations)]

    def answer(self, index: int, default_operations: Sequence[str] = ()) -> Answer:
        """What a service must be answered."""
        defaults = [(name, 0.0) for name in default_operations]
        return Answer(self.name(index), self.rate(index), [*self.operation_rates(index), *defaults])

    def strategies_file(self, default_operations: Sequence[str] = ()) -> bytes:
        """The fleet in Jaeger's format; the default operations are never sampled."""
        default = {**_strategy(0.0005), **_operations([(name, 0.0) for name in default_operations])}
        services = [
            {"service": self.name(index), **_strategy(self.rate(index)), **_operations(self.operation_rates(index))}
            for index in range(self.services)
        ]
        return msgspec.json.encode({"default_strategy": default, "service_strategies": services})

    def writes(self) -> list[Write]:
        """The fleet as records of a store."""
        return [Write(Key("service", self.name(index)), self._record(index)) for index in range(self.services)]

    def _record(self, index: int) -> bytes:
        operations = tuple(OperationStrategy(name, rate) for name, rate in self.operation_rates(index))
        return encode_record(ServiceConfiguration(SamplingStrategy("probabilistic", self.rate(index)), operations or None))


def _strategy(rate: float) -> dict[str, Any]:
    return {"type": "probabilistic", "param": rate}


def _operations(rates: list[tuple[str, float]]) -> dict[str, Any]:
    return {"operation_strategies": [{"operation": name, **_strategy(rate)} for name, rate in rates]} if rates else {}

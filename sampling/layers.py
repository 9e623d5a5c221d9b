"""The places that have a say for a service, one above the other, and what they come to."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from sampling.records import Rules
from sampling.strategy import FALLBACK, EffectiveStrategy, OperationStrategy, SamplingStrategy

Source = Literal["boost", "service", "file", "policy", "default", "file-default", "fallback"]


class Layer(NamedTuple):
    """One place that has a say for a name. An earlier layer stands above a later one."""

    source: Source
    key: str
    rules: Rules

    @property
    def limits_rate(self) -> bool:
        """Whether its strategy is a rate limit, beside which clients drop operations or the limit."""
        strategy = self.rules.sampling_strategy
        return strategy is not None and strategy.type == "ratelimiting"


LAST_LAYER = Layer("fallback", "", Rules(FALLBACK))


def winning_layer(layers: Sequence[Layer]) -> Layer:
    """The first layer with a strategy gives it."""
    return next(layer for layer in layers if layer.rules.sampling_strategy is not None)


def operation_layers(layers: Sequence[Layer]) -> list[tuple[Layer, tuple[OperationStrategy, ...]]]:
    """The layers that give operations, each with those that it is the first to name.

    A rate-limited answer has none: clients would drop its limit. Duplicates within one layer are kept, as Jaeger keeps
    them; only a strategies file can hold them.
    """
    if winning_layer(layers).limits_rate:
        return []
    given: list[tuple[Layer, tuple[OperationStrategy, ...]]] = []
    named: set[str] = set()
    for layer in layers:
        operations = layer.rules.operation_strategies
        if operations is None:
            continue
        if named:
            operations = tuple(operation for operation in operations if operation.operation not in named)
        given.append((layer, operations))
        named.update(operation.operation for operation in operations)
    return given


def strategy_of(layers: Sequence[Layer]) -> EffectiveStrategy:
    """What these layers come to."""
    return effective_strategy(winning_layer(layers), operation_layers(layers))


def effective_strategy(winner: Layer, given: Sequence[tuple[Layer, tuple[OperationStrategy, ...]]]) -> EffectiveStrategy:
    """Put the winner's strategy and the operations together."""
    strategy: SamplingStrategy = winner.rules.sampling_strategy or FALLBACK
    if given:
        return EffectiveStrategy(strategy, tuple(operation for _, operations in given for operation in operations))
    # The lower bound is a field of the operation sampling, so it needs one, if an empty one.
    return EffectiveStrategy(strategy, () if strategy.lower_bound_traces_per_second else None)

"""Why a service gets what it gets: every place that could have had a say, and what became of it."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from sampling.catalog import Catalog, Layer, Source, effective_strategy, operation_layers, winning_layer
from sampling.pattern import Pattern
from sampling.policies import seconds
from sampling.records import DEFAULT_POLICY, Boost, SamplingPolicy, ServiceConfiguration, decode_record
from sampling.strategy import EffectiveStrategy, OperationStrategy, SamplingStrategy


class Candidate(msgspec.Struct, frozen=True):
    """One place that could give the strategy."""

    source: Source
    key: str
    strategy: SamplingStrategy | None
    outcome: Literal["wins", "loses"]
    reason: str


class OperationOrigin(msgspec.Struct, frozen=True):
    """One operation of the answer and the place it comes from."""

    operation: OperationStrategy
    source: Source
    key: str


class Explanation(msgspec.Struct, frozen=True):
    """The answer for a name, the winner among the candidates, and where each operation comes from."""

    service: str
    effective: EffectiveStrategy
    candidates: tuple[Candidate, ...]
    operations: tuple[OperationOrigin, ...]


def explain(catalog: Catalog, name: str) -> Explanation:
    """Explain the answer for any name; takes time by the number of policies, so it is not for polls."""
    layers = catalog.layers(name)
    winner = winning_layer(layers)
    given = operation_layers(layers)
    return Explanation(
        service=name,
        effective=effective_strategy(winner, given),
        candidates=(*_candidates(layers, winner), *_silent(catalog, name, layers)),
        operations=tuple(
            OperationOrigin(operation, layer.source, layer.key) for layer, operations in given for operation in operations
        ),
    )


def _candidates(layers: list[Layer], winner: Layer) -> Iterator[Candidate]:
    for layer in layers:
        strategy = layer.rules.sampling_strategy
        if layer is winner:
            yield Candidate(layer.source, layer.key, strategy, "wins", "the first place that gives a strategy")
        elif strategy is None:
            yield Candidate(layer.source, layer.key, None, "loses", "gives no strategy")
        else:
            yield Candidate(layer.source, layer.key, strategy, "loses", f"{winner.source} {winner.key!r} stands above it")


def _silent(catalog: Catalog, name: str, layers: list[Layer]) -> Iterator[Candidate]:
    """The places that were not asked at all."""
    asked = {(layer.source, layer.key) for layer in layers}
    boosted = layers[0].source == "boost"
    covered = f"the boost of {name!r} replaces everything" if boosted else "disabled"
    stored = catalog.records("boost").get(name)
    if stored is not None and not boosted:
        boost = decode_record(Boost, stored.body)
        yield Candidate("boost", name, boost.sampling_strategy, "loses", f"ended at {boost.ends_at.isoformat()}")
    stored = catalog.records("service").get(name)
    if stored is not None and ("service", name) not in asked:
        service = decode_record(ServiceConfiguration, stored.body)
        yield Candidate("service", name, service.sampling_strategy, "loses", covered)
    for key, stored in catalog.records("policy").items():
        source: Source = "default" if key == DEFAULT_POLICY else "policy"
        policy = decode_record(SamplingPolicy, stored.body)
        if (source, key) in asked or not Pattern(policy.service_pattern).matches(name):
            continue
        if boosted or not policy.enabled:
            reason = covered
        elif catalog.instant < seconds(policy.starts_at, float("-inf")):
            reason = f"starts at {policy.starts_at and policy.starts_at.isoformat()}"
        else:
            reason = f"ended at {policy.ends_at and policy.ends_at.isoformat()}"
        yield Candidate(source, key, policy.sampling_strategy, "loses", reason)

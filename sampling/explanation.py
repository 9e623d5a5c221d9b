"""Why a service gets what it gets: every place that could have had a say, and what became of it."""

from collections.abc import Generator, Sequence
from typing import Literal

import msgspec

from sampling.catalog import Catalog
from sampling.layers import Layer, Source, effective_strategy, operation_layers, winning_layer
from sampling.operation_explanation import OperationExplanation, explain_operation
from sampling.places import Place, described, places_of
from sampling.policies import Policy, moment_text, seconds
from sampling.schedule import next_change
from sampling.strategy import EffectiveStrategy, SamplingStrategy

SHOWN_POLICIES = 1000
"""So many matching policies are listed, those first that count most."""


class Candidate(msgspec.Struct, frozen=True, rename="camel"):
    """One place that could give the strategy."""

    source: Source
    key: str
    """The name of the record or entry; empty for the file's default and the last resort."""

    sampling_strategy: SamplingStrategy | None
    outcome: Literal["wins", "loses"]
    reason: str
    revision: int | None
    """The commit that wrote the record; the history tells by whom and why. None where it is no record."""

    service_pattern: str | None
    """Of a policy that could be read."""

    priority: int | None


class OperationOrigin(msgspec.Struct, frozen=True):
    """One operation of the answer and the place it comes from."""

    operation: str
    param: float
    source: Source
    key: str


class Explanation(msgspec.Struct, frozen=True):
    """The answer for a name at an instant, where it comes from, and what else was there."""

    effective: EffectiveStrategy
    winner: Layer
    """What gives its strategy."""

    instant: float
    """Seconds since the epoch."""

    candidates: Sequence[Candidate]
    """In the order in which places count, with the first 1000 policies, and always the winner."""

    candidate_count: int
    """All of them."""

    operations: Sequence[OperationOrigin]
    operation: OperationExplanation | None
    """About the one operation that was asked for."""

    next_change: float | None
    """When a window's start or end changes the answer next; seconds since the epoch."""


def explain(catalog: Catalog, name: str, operation: str = "") -> Generator[None, None, Explanation]:
    """Explain the answer for any name, and for one operation if it is given.

    What is needed of the catalog is taken before the first yield, so it may be changed meanwhile. Yields after each slice
    of work.
    """
    policies = dict(catalog.records("policy"))
    catalog = catalog.only(name)
    layers = catalog.layers(name)
    winner = winning_layer(layers)
    given = operation_layers(layers)
    effective = effective_strategy(winner, given)
    places = yield from places_of(catalog, name, policies)
    candidates = yield from _candidates(catalog, name, places, winner)
    origins = []
    for layer, operations in given:
        for some in operations:
            origins.append(OperationOrigin(some.operation, some.param, layer.source, layer.key))
            yield
    return Explanation(
        effective=effective,
        winner=winner,
        instant=catalog.instant,
        candidates=candidates,
        candidate_count=len(places),
        operations=origins,
        operation=(yield from explain_operation(places, winner, operation)) if operation else None,
        next_change=(yield from next_change(catalog, name)),
    )


def _candidates(catalog: Catalog, name: str, places: Sequence[Place], winner: Layer) -> Generator[None, None, list[Candidate]]:
    rivals = [place for place in places if place.policy and not place.silent and place.rules.sampling_strategy is not None]
    first = next((place.policy for place in rivals if (place.source, place.key) == (winner.source, winner.key)), None)
    candidates = []
    policies = 0
    for place in places:
        policies += place.source == "policy"
        wins = (place.source, place.key) == (winner.source, winner.key) and not place.silent
        if place.source == "policy" and policies > SHOWN_POLICIES and not wins:
            continue
        reason = _won(catalog, name, place, len(rivals)) if wins else _lost(place, winner, first)
        candidates.append(
            Candidate(
                place.source,
                place.key,
                place.rules.sampling_strategy,
                "wins" if wins else "loses",
                reason + _unheard_operations(place, winner),
                place.revision,
                None if place.policy is None else place.policy.pattern.text,
                None if place.policy is None else place.policy.priority,
            )
        )
        yield
    return candidates


def _unheard_operations(place: Place, winner: Layer) -> str:
    """What keeps the operation rules of a place that is heard from being heard too."""
    if place.silent or not place.rules.operation_strategies:
        return ""
    if place.operations_covered:
        return f"; {place.operations_covered}"
    return "; its operation rules do not count beside a rate limit" if winner.limits_rate else ""


def _won(catalog: Catalog, name: str, place: Place, rivals: int) -> str:
    match place.source:
        case "boost" if (boost := catalog.boost(name)) is not None:
            why = f" ({boost.reason})" if boost.reason else ""
            return f"in force until {moment_text(seconds(boost.ends_at, 0))}{why}; a boost replaces the whole answer"
        case "service":
            return "the service's own record is enabled and gives a strategy"
        case "file":
            return "the strategies file has an entry for the name, and no enabled record gives a strategy"
        case "policy" if place.policy is not None:
            policy = place.policy
            if rivals == 1:
                return f"its pattern {policy.pattern.text!r} matches, and no other matching policy in force gives a strategy"
            return f"priority {policy.priority}, the first of {rivals} matching policies in force that give a strategy"
        case "default":
            return "no boost, record, file entry or policy gives a strategy"
        case "file-default":
            return "no record, policy or default gives a strategy, and the strategies file has a default"
    return "nothing gives a strategy; this is the built-in last resort, Jaeger's too"


def _lost(place: Place, winner: Layer, first: Policy | None) -> str:
    if place.silent:
        return place.silent
    if place.rules.sampling_strategy is None:
        return "gives no strategy" + (", operation rules alone" if place.rules.operation_strategies else "")
    policy = place.policy
    if policy is None or first is None:
        return f"{described(winner.source, winner.key)} stands above it"
    if policy.priority != first.priority:
        return f"priority {policy.priority} against {first.priority} of the policy {first.name!r}"
    if policy.pattern.specificity != first.pattern.specificity:
        return (
            f"the same priority {policy.priority} as the policy {first.name!r}, "
            f"whose pattern {first.pattern.text!r} is more specific than {policy.pattern.text!r}"
        )
    return f"the same priority {policy.priority} and an equally specific pattern as the policy {first.name!r}, first by name"

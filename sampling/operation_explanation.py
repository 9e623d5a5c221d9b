"""Which probability the spans of one operation get, and why."""

from collections.abc import Generator, Sequence
from typing import Literal

import msgspec

from sampling.layers import Layer, Source
from sampling.places import Place, described

SHOWN_CANDIDATES = 1000


class OperationCandidate(msgspec.Struct, frozen=True):
    """One place that names the operation, or that decides where none does."""

    source: Source
    key: str
    param: float | None
    """Its probability; None for a rate limit."""

    outcome: Literal["wins", "loses"]
    reason: str


class OperationExplanation(msgspec.Struct, frozen=True, rename="camel"):
    """One operation of a service."""

    operation: str
    param: float | None
    """The probability that its spans get; None where the rate limit of the whole service decides."""

    source: Source
    key: str
    candidates: Sequence[OperationCandidate]
    """The first 1000 that name it, and the winner."""

    candidate_count: int


def explain_operation(places: Sequence[Place], winner: Layer, operation: str) -> Generator[None, None, OperationExplanation]:
    """Explain one operation. ``winner`` gives the strategy of the service. Yields after each slice of work."""
    limited = winner.limits_rate
    first: OperationCandidate | None = None
    candidates: list[OperationCandidate] = []
    for place in places:
        yield
        params = [each.param for each in place.rules.operation_strategies or () if each.operation == operation]
        if not params:
            continue
        lost = place.silent or place.operations_covered
        if not lost and limited:
            lost = f"{described(winner.source, winner.key)} gives a rate limit, which clients would drop beside operations"
        elif not lost and first is not None:
            lost = f"{described(first.source, first.key)} stands above it and names the operation too"
        # A strategies file may name an operation more than once: clients take the last.
        candidate = OperationCandidate(place.source, place.key, params[-1], "loses" if lost else "wins", lost or _FIRST)
        candidates.append(candidate)
        if not lost:
            first = candidate
    if first is None:
        first = _nobody(winner, limited)
        candidates.append(first)
    shown = candidates[:SHOWN_CANDIDATES]
    if first not in shown:
        shown.append(first)
    return OperationExplanation(operation, first.param, first.source, first.key, shown, len(candidates))


_FIRST = "the first place that names the operation"


def _nobody(winner: Layer, limited: bool) -> OperationCandidate:
    """Who decides about an operation that nobody names, or whose probability cannot be sent."""
    strategy = winner.rules.sampling_strategy
    if strategy is None or limited:
        reason = "the answer is a rate limit for the whole service, and carries no operations"
        return OperationCandidate(winner.source, winner.key, None, "wins", reason)
    reason = "no place that has a say names the operation, so the strategy of the whole service decides"
    return OperationCandidate(winner.source, winner.key, strategy.param, "wins", reason)

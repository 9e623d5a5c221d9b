"""Whose answers a change of the configuration changes, and from what to what."""

from collections import OrderedDict
from collections.abc import Collection, Generator, Iterator, Sequence
from time import monotonic
from typing import NamedTuple

import msgspec

from sampling.catalog import Catalog
from sampling.layers import Layer, strategy_of
from sampling.policies import Policy, PolicyIndex, by_rank
from sampling.records import DEFAULT_POLICY, Change
from sampling.strategy import EffectiveStrategy

SHOWN_ANSWERS = 100

SHOWN_OPERATIONS = 10_000
"""Fewer answers are shown where they would have more operations than these, before and after together."""

REMEMBERED = 1_000
"""How many different matches are remembered, the latest, so that each is resolved once."""


class AnswerDifference(msgspec.Struct, frozen=True):
    """What becomes of the answer for one service."""

    service: str
    before: EffectiveStrategy
    after: EffectiveStrategy


class Effect(msgspec.Struct, frozen=True):
    """What a change does to answers, over the configured names and those that were polled lately."""

    changed: int
    """How many answers change."""

    examined: int
    """Of how many names it was found out. All of them count, also those that the change cannot touch."""

    complete: bool
    """False where time ran out before all were examined: there may be more changes."""

    answers: Sequence[AnswerDifference]
    """The first 100 of them by name, fewer where they have over 10,000 operations."""


def effect_of(
    before: Catalog, after: Catalog, changes: Sequence[Change], polled: Collection[str], deadline: float
) -> Generator[None, None, Effect]:
    """Compare the answers of two catalogs that differ by ``changes``, both at the instant of ``before``.

    Nobody may change them meanwhile. ``polled`` has no name twice. Yields after each name, and stops at ``deadline`` (of
    ``time.monotonic``).
    """
    comparison = yield from _comparison(before, after, changes)
    found: list[AnswerDifference] = []
    examined = changed = 0
    complete = True
    for name in _names(before, after, polled):
        if monotonic() >= deadline:
            complete = False
            break
        if name is None:
            yield
            continue
        difference = comparison.of(name)
        examined += 1
        if difference is not None:
            changed += 1
            found.append(AnswerDifference(shown(name), *difference))
            if len(found) >= 2 * SHOWN_ANSWERS:
                found = _first(found)
        yield
    return Effect(changed, examined, complete, _bounded(_first(found)))


def shown(name: str) -> str:
    """A name as it goes into JSON: a polled one may hold bytes that are no UTF-8, as lone surrogates."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _first(found: list[AnswerDifference]) -> list[AnswerDifference]:
    return sorted(found, key=lambda difference: difference.service)[:SHOWN_ANSWERS]


def _bounded(found: list[AnswerDifference]) -> list[AnswerDifference]:
    operations = 0
    for index, each in enumerate(found):
        operations += len(each.before.operations or ()) + len(each.after.operations or ())
        if index and operations > SHOWN_OPERATIONS:
            return found[:index]
    return found


def _names(before: Catalog, after: Catalog, polled: Collection[str]) -> Iterator[str | None]:
    """Each name in question once, and None where it comes again: a set of them would stop everything while it grows."""
    both = [(catalog.records("service"), catalog.records("boost")) for catalog in (before, after)]
    sources: list[Collection[str]] = [*both[0], before.file.services, *both[1], polled]
    for index, source in enumerate(sources):
        earlier = sources[:index]
        for name in source:
            yield None if any(name in names for names in earlier) else name


class _Match(NamedTuple):
    """Everything that decides about an answer beside the default, before and after. Equal matches have equal differences."""

    exact_before: tuple[bytes | None, ...]
    exact_after: tuple[bytes | None, ...]
    policies_before: tuple[str, ...]
    policies_after: tuple[str, ...]


Difference = tuple[EffectiveStrategy, EffectiveStrategy] | None


def _comparison(before: Catalog, after: Catalog, changes: Sequence[Change]) -> "Generator[None, None, _Comparison]":
    comparison = _Comparison(before, after)
    for change in changes:
        name = change.key.name
        if change.key.kind == "policy":
            if name == DEFAULT_POLICY:
                comparison.default_changes = True
            for policies, index in ((before.policies, comparison.old), (after.policies, comparison.new)):
                if (policy := policies.get(name)) is not None:
                    index.add(policy)
        yield
    return comparison


class _Comparison:
    """Compares the two answers for one name after the other."""

    def __init__(self, before: Catalog, after: Catalog) -> None:
        self._before, self._after = before, after
        self.old, self.new = PolicyIndex(), PolicyIndex()
        """The policies that are written, as they were and as they will be: only what they match can be touched by them."""
        self.default_changes = False
        # A plain dict is slow to find its first key after many were taken from its front.
        self._known: OrderedDict[_Match, Difference] = OrderedDict()

    def of(self, name: str) -> Difference:
        """The answers for a name before and after; None where they are the same."""
        instant = self._before.instant
        exact_before, exact_after = self._before.exact(name, instant), self._after.exact(name, instant)
        leaving, coming = self.old.matching(name, instant), self.new.matching(name, instant)
        if exact_before == exact_after and not (leaving or coming or self.default_changes):
            return None
        policies_before = policies_after = self._before.policies.matching(name, instant)
        if leaving or coming:
            staying = [policy for policy in policies_before if policy.name not in self.old]
            policies_after = sorted([*staying, *coming], key=by_rank)
        match = _Match(exact_before, exact_after, _keys(policies_before), _keys(policies_after))
        if match not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.popitem(last=False)
            self._known[match] = self._judge(name, match, policies_before, policies_after)
        return self._known[match]

    def _judge(self, name: str, match: _Match, before: Sequence[Policy], after: Sequence[Policy]) -> Difference:
        instant = self._before.instant
        layers = self._before.exact_layers(name, instant)
        # To read a long record takes most of the time.
        layers_after = layers if match.exact_before == match.exact_after else self._after.exact_layers(name, instant)
        answer_before = _answer(layers, self._before, before)
        answer_after = _answer(layers_after, self._after, after)
        return None if answer_before == answer_after else (answer_before, answer_after)


def _answer(exact: Sequence[Layer], catalog: Catalog, policies: Sequence[Policy]) -> EffectiveStrategy:
    boosted = bool(exact) and exact[0].source == "boost"
    return strategy_of(exact if boosted else [*exact, *catalog.shared_layers(policies)])


def _keys(policies: Sequence[Policy]) -> tuple[str, ...]:
    return tuple(policy.name for policy in policies)

"""What is answered now as a strategies file for Jaeger, and what such a file cannot say."""

from collections.abc import Generator
from datetime import UTC, datetime
from itertools import chain
from typing import NamedTuple

import msgspec

from sampling.catalog import Catalog
from sampling.layers import winning_layer
from sampling.name_order import sorted_in_slices
from sampling.policies import moment_text, seconds
from sampling.records import DEFAULT_KEY, DEFAULT_POLICY, Boost, Change, Key, Kind, Rules, SamplingPolicy, Stored, decode_record
from sampling.strategies_file import StrategiesFile
from sampling.strategy import EffectiveStrategy, SamplingStrategy

_encode = msgspec.json.Encoder().encode


class Unsaid(msgspec.Struct, frozen=True):
    """A record, or a service of the file, of which the file does not say everything."""

    kind: Kind
    name: str
    reason: str


class JaegerExport(NamedTuple):
    """The file, and whose answers it does not give."""

    file: StrategiesFile
    unsaid: list[Unsaid]


def export_in_slices(catalog: Catalog) -> Generator[None, None, JaegerExport]:
    """Every configured service with its present answer, policies and default worked in; yields after each slice of work.

    A configured service that is not among the unsaid, and any other name that no policy among them speaks for, gets the
    same answer from the file as from the catalog. The catalog is the caller's own: boosts are taken out of it.
    """
    unsaid = [Unsaid(key.kind, key.name, f"cannot be read: {problem}") for key, problem in sorted(catalog.problems.items())]
    unsaid += yield from _boosts(catalog)
    unsaid += yield from _policies(catalog)
    default = _default(catalog)
    if default.sampling_strategy is not None and default.sampling_strategy.lower_bound_traces_per_second:
        unsaid.append(Unsaid("policy", DEFAULT_POLICY, _LOWER_BOUND))
    written = _expressible(default)
    records = catalog.records("service")
    names = yield from sorted_in_slices(chain(records, (name for name in catalog.file.services if name not in records)))
    services: dict[str, bytes] = {}
    shared: dict[bytes, bytes] = {}
    # What a reader of the file answers; the default alone is what it needs beside the one service.
    reader = Catalog()
    for name in names:
        answer = catalog.resolve(name)
        body = _encode(_expressible(Rules(answer.strategy, answer.operations)))
        services[name] = shared.setdefault(body, body)
        reader.file = StrategiesFile({name: body}, written, "")
        if (reason := _reason(answer, reader.resolve(name), written)) is not None:
            unsaid.append(Unsaid("service", name, reason))
        yield
    return JaegerExport(StrategiesFile(services, written, ""), unsaid)


_LOWER_BOUND = "Jaeger's format has no lower bound of traces per second"


def _boosts(catalog: Catalog) -> Generator[None, None, list[Unsaid]]:
    """The boosts that are in force; afterwards the catalog has none."""
    found = []
    deleted = []
    for name, stored in (yield from _readable(catalog, "boost")):
        ends = decode_record(Boost, stored.body).ends_at
        if catalog.instant < seconds(ends, 0):
            found.append(
                Unsaid("boost", name, f"ends at {moment_text(seconds(ends, 0))}; the file has what the service gets without it")
            )
        deleted.append(Change(Key("boost", name), None))
        yield
    yield from catalog.apply_in_slices(deleted)
    return found


def _policies(catalog: Catalog) -> Generator[None, None, list[Unsaid]]:
    """The policies that speak, now or later, for names that nobody configured."""
    found = []
    now = datetime.fromtimestamp(catalog.instant, UTC)
    for name, stored in (yield from _readable(catalog, "policy")):
        policy = decode_record(SamplingPolicy, stored.body)
        if name != DEFAULT_POLICY and policy.enabled and (policy.ends_at is None or now < policy.ends_at):
            reason = f"Jaeger's format has no patterns: only configured services get what {policy.service_pattern!r} says"
            if policy.starts_at is not None and now < policy.starts_at:
                reason = f"starts at {moment_text(seconds(policy.starts_at, 0))}; the file has what holds now"
            elif policy.ends_at is not None:
                reason += f", and would keep it after {moment_text(seconds(policy.ends_at, 0))}"
            found.append(Unsaid("policy", name, reason))
        yield
    return found


def _readable(catalog: Catalog, kind: Kind) -> Generator[None, None, list[tuple[str, Stored]]]:
    """The records of a kind by name that can be read."""
    records, problems = catalog.records(kind), catalog.problems
    names = yield from sorted_in_slices(records)
    return [(name, records[name]) for name in names if not problems or Key(kind, name) not in problems]


def _default(catalog: Catalog) -> Rules:
    """What a name gets that nobody configured and no policy matches, and the operations that others inherit."""
    only_default = Catalog(StrategiesFile({}, catalog.file.default, ""), catalog.instant)
    stored = catalog.records("policy").get(DEFAULT_POLICY)
    if stored is not None:
        only_default.apply([Change(DEFAULT_KEY, stored)])
    layers = only_default.layers("")
    given = (layer.rules.operation_strategies for layer in layers if layer.rules.operation_strategies is not None)
    return Rules(winning_layer(layers).rules.sampling_strategy, next(given, None))


def _expressible(rules: Rules) -> Rules:
    """What the format can say of it, with no rate limit beside operations."""
    strategy, operations = rules.sampling_strategy, rules.operation_strategies
    if strategy is None:
        return rules
    if strategy.type == "ratelimiting":
        return Rules(strategy)
    if strategy.lower_bound_traces_per_second:
        return Rules(SamplingStrategy(strategy.type, strategy.param), operations or None)
    return rules


def _reason(ours: EffectiveStrategy, theirs: EffectiveStrategy, default: Rules) -> str | None:
    """Why a service does not get its answer from the file; None where it does."""
    if ours.strategy.type == "ratelimiting" and default.operation_strategies is not None:
        return "Jaeger sends the default's operations beside its rate limit, and clients then drop the limit"
    if ours == theirs:
        return None
    if ours.strategy.lower_bound_traces_per_second:
        return _LOWER_BOUND
    return "the file gives it another answer"

"""Records in, effective strategy out: which strategy a service gets, and from where."""

from collections.abc import Generator, Mapping, Sequence
from itertools import islice
from typing import Literal, NamedTuple

import msgspec

from sampling.policies import Policy, PolicyIndex, seconds
from sampling.records import (
    DEFAULT_POLICY,
    Boost,
    Change,
    Key,
    Kind,
    Rules,
    SamplingPolicy,
    ServiceConfiguration,
    Stored,
    decode_record,
)
from sampling.strategies_file import NO_FILE, StrategiesFile
from sampling.strategy import FALLBACK, EffectiveStrategy, OperationStrategy, SamplingStrategy

Source = Literal["boost", "service", "file", "policy", "default", "file-default", "fallback"]

SHARED = 10_000
"""How many different texts of service configurations are remembered, for sharing between services."""


class Layer(NamedTuple):
    """One place that has a say for a name. An earlier layer stands above a later one."""

    source: Source
    key: str
    rules: Rules


LAST_LAYER = Layer("fallback", "", Rules(FALLBACK))


class Catalog:
    """Every record and the strategies file, at one instant.

    A catalog is changed only between polls: ``apply`` and the setters are one step each, without an await.
    """

    def __init__(self, file: StrategiesFile = NO_FILE, instant: float = 0.0) -> None:
        self.file = file
        self.instant = instant
        """Seconds since the epoch at which windows are judged."""
        self.problems: dict[Key, str] = {}
        """Records that cannot be read (somebody edited them behind the program's back) and count as absent."""
        self._records: dict[Kind, dict[str, Stored]] = {"service": {}, "policy": {}, "boost": {}}
        self._readable: dict[bytes, Stored] = {}
        self._policies = PolicyIndex()
        self._boosts: dict[str, Boost] = {}
        self._default: SamplingPolicy | None = None
        self._next_boundary: float | None = None

    def records(self, kind: Kind) -> Mapping[str, Stored]:
        """All records of a kind by name, as they are stored."""
        return self._records[kind]

    def is_configured(self, name: str) -> bool:
        """Whether a record, boost or file entry names exactly this service."""
        return name in self._records["service"] or name in self.file.services or name in self._boosts

    @property
    def configured(self) -> int:
        """An upper bound of how many names ``is_configured`` is true for."""
        return len(self._records["service"]) + len(self.file.services) + len(self._boosts)

    def apply(self, changes: Sequence[Change]) -> None:
        """Take over the new state of some keys, in one step."""
        for change in changes:
            kind, name = change.key.kind, change.key.name
            if change.record is None:
                self._records[kind].pop(name, None)
            else:
                self._records[kind][name] = change.record
            try:
                self._index(change)
                if self.problems:
                    self.problems.pop(change.key, None)
            except ValueError as error:
                self.problems[change.key] = str(error)
        self._next_boundary = None

    def _index(self, change: Change) -> None:
        kind, name = change.key.kind, change.key.name
        if kind == "service":
            if change.record is not None:
                self._records[kind][name] = self._shared(change.record)
        elif kind == "boost":
            self._boosts.pop(name, None)
            if change.record is not None:
                self._boosts[name] = decode_record(Boost, change.record.body)
        else:
            if name == DEFAULT_POLICY:
                self._default = None
            self._policies.remove(name)
            policy = None if change.record is None else decode_record(SamplingPolicy, change.record.body)
            if policy is None or not policy.enabled:
                return
            if name == DEFAULT_POLICY:
                self._default = policy
            else:
                self._policies.add(Policy(name, policy))

    def _shared(self, record: Stored) -> Stored:
        """This record or its equal: most services have a text, and many a commit too, that others have. It is read once.

        Raises:
            ValueError: it cannot be read.
        """
        known = self._readable.get(record.body)
        if known is None:
            decode_record(ServiceConfiguration, record.body)
            if len(self._readable) >= SHARED:
                self._readable = {}
            self._readable[record.body] = record
            return record
        if known.commit_id == record.commit_id and known.revision == record.revision:
            return known
        return Stored(record.revision, record.commit_id, known.body)

    def copy_in_slices(self) -> Generator[None, None, "Catalog"]:
        """A copy that can be changed aside while this one is served; yields after each slice of work."""
        twin = Catalog(self.file, self.instant)
        twin.problems = dict(self.problems)
        twin._default = self._default
        for kind, records in self._records.items():
            items = iter(records.items())
            while some := list(islice(items, 1000)):
                twin._records[kind].update(some)
                yield
        twin._boosts.update(self._boosts)
        for policy in self._policies:
            twin._policies.add(policy)
            yield
        return twin

    def advance(self, instant: float) -> bool:
        """Move to another instant. True where the start or end of a window lies between, so answers may differ."""
        if self._next_boundary is None:
            self._next_boundary = self._boundary_after(self.instant)
        crossed = instant >= self._next_boundary or instant < self.instant
        self.instant = instant
        if crossed:
            self._next_boundary = None
        return crossed

    def _boundary_after(self, instant: float) -> float:
        boundaries = [edge for policy in self._policies for edge in (policy.starts, policy.ends)]
        boundaries += [seconds(boost.ends_at, 0) for boost in self._boosts.values()]
        return min((edge for edge in boundaries if edge > instant), default=float("inf"))

    def layers(self, name: str) -> list[Layer]:
        """Every place that has a say for a name, the strongest first; ``docs/resolution.md`` has the table."""
        boost = self._boosts.get(name)
        if boost is not None and self.instant < seconds(boost.ends_at, 0):
            return [Layer("boost", name, boost.rules)]
        layers = []
        service = self._service(name)
        if service is not None:
            layers.append(Layer("service", name, service.rules))
        if (entry := self.file.services.get(name)) is not None:
            rules = _decode_rules(entry)
            # The record stands above the entry: its operations, even none, replace the entry's.
            layers.append(Layer("file", name, rules if service is None else Rules(rules.sampling_strategy)))
        layers += [Layer("policy", policy.name, policy.rules) for policy in self._policies.matching(name, self.instant)]
        if self._default is not None:
            layers.append(Layer("default", DEFAULT_POLICY, self._default.rules))
            if self.file.default is not None:
                layers.append(Layer("file-default", "", Rules(self.file.default.sampling_strategy)))
        elif self.file.default is not None:
            layers.append(Layer("file-default", "", self.file.default))
        layers.append(LAST_LAYER)
        return layers

    def _service(self, name: str) -> ServiceConfiguration | None:
        stored = self._records["service"].get(name)
        if stored is None or (self.problems and Key("service", name) in self.problems):
            return None
        service = decode_record(ServiceConfiguration, stored.body)
        return service if service.enabled else None

    def resolve(self, name: str) -> EffectiveStrategy:
        """What a service is answered; total over all names."""
        layers = self.layers(name)
        return effective_strategy(winning_layer(layers), operation_layers(layers))


def winning_layer(layers: Sequence[Layer]) -> Layer:
    """The first layer with a strategy gives it."""
    return next(layer for layer in layers if layer.rules.sampling_strategy is not None)


def operation_layers(layers: Sequence[Layer]) -> list[tuple[Layer, tuple[OperationStrategy, ...]]]:
    """The layers that give operations, each with those that it is the first to name.

    A rate-limited answer has none: clients would drop its limit. Duplicates within one layer are kept, as Jaeger keeps
    them; only a strategies file can hold them.
    """
    strategy = winning_layer(layers).rules.sampling_strategy
    if strategy is None or strategy.type == "ratelimiting":
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


def effective_strategy(winner: Layer, given: Sequence[tuple[Layer, tuple[OperationStrategy, ...]]]) -> EffectiveStrategy:
    """Put the winner's strategy and the operations together."""
    strategy: SamplingStrategy = winner.rules.sampling_strategy or FALLBACK
    if given:
        return EffectiveStrategy(strategy, tuple(operation for _, operations in given for operation in operations))
    # The lower bound is a field of the operation sampling, so it needs one, if an empty one.
    return EffectiveStrategy(strategy, () if strategy.lower_bound_traces_per_second else None)


_rules_decoder = msgspec.json.Decoder(Rules)
_decode_rules = _rules_decoder.decode

"""Records in, effective strategy out: which strategy a service gets, and from where."""

from collections.abc import Generator, Mapping, Sequence
from itertools import islice

import msgspec

from sampling.layers import LAST_LAYER, Layer, strategy_of
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
from sampling.strategy import EffectiveStrategy

SHARED = 10_000
"""How many different texts of service configurations are remembered, for sharing between services."""


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
        self.policies = PolicyIndex()
        """Enabled policies, but for the default."""
        self.default: SamplingPolicy | None = None
        """The default record; None while nobody has set it."""
        self._boosts: dict[str, Boost] = {}
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
                self.default = None
            self.policies.remove(name)
            policy = None if change.record is None else decode_record(SamplingPolicy, change.record.body)
            if policy is None or not policy.enabled:
                return
            if name == DEFAULT_POLICY:
                self.default = policy
            else:
                self.policies.add(Policy(name, policy))

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
        twin.default = self.default
        for kind, records in self._records.items():
            items = iter(records.items())
            while some := list(islice(items, 1000)):
                twin._records[kind].update(some)
                yield
        twin._boosts.update(self._boosts)
        for policy in self.policies:
            twin.policies.add(policy)
            yield
        return twin

    def apply_in_slices(self, changes: Sequence[Change]) -> Generator[None, None, None]:
        """As ``apply``, for a catalog that is not served meanwhile; yields after each slice of work."""
        rest = iter(changes)
        while some := list(islice(rest, 100)):
            self.apply(some)
            yield

    @property
    def next_boundary(self) -> float:
        """When the next window opens or closes, in seconds since the epoch; infinite where none does."""
        if self._next_boundary is None:
            self._next_boundary = self._boundary_after(self.instant)
        return self._next_boundary

    def advance(self, instant: float) -> bool:
        """Move to another instant. True where the start or end of a window lies between, so answers may differ."""
        crossed = instant >= self.next_boundary or instant < self.instant
        self.instant = instant
        if crossed:
            self._next_boundary = None
        return crossed

    def _boundary_after(self, instant: float) -> float:
        boundaries = [edge for policy in self.policies for edge in (policy.starts, policy.ends)]
        boundaries += [seconds(boost.ends_at, 0) for boost in self._boosts.values()]
        return min((edge for edge in boundaries if edge > instant), default=float("inf"))

    def boost(self, name: str, instant: float | None = None) -> Boost | None:
        """The boost that is in force for a name."""
        boost = self._boosts.get(name)
        if boost is None or (self.instant if instant is None else instant) >= seconds(boost.ends_at, 0):
            return None
        return boost

    def exact(self, name: str, instant: float | None = None) -> tuple[bytes | None, bytes | None, bytes | None]:
        """The texts of what names exactly this service: a boost in force alone, else the record and the file entry.

        Names for which these and the matching policies are the same have the same answer.
        """
        if self.boost(name, instant) is not None:
            return self._records["boost"][name].body, None, None
        stored = self._records["service"].get(name)
        return None, None if stored is None else stored.body, self.file.services.get(name)

    def only(self, name: str) -> "Catalog":
        """A catalog of nothing but what has a say for this name at any instant, the disabled policies left out.

        It answers this name as this catalog does, and stays as it is when this one changes.
        """
        entry = self.file.services.get(name)
        services = {} if entry is None else {name: entry}
        alone = Catalog(msgspec.structs.replace(self.file, services=services), self.instant)
        alone.default = self.default
        alone.problems = {key: problem for key, problem in self.problems.items() if key.kind == "policy" or key.name == name}
        for kind in ("service", "boost"):
            if (stored := self._records[kind].get(name)) is not None:
                alone._records[kind][name] = stored
        if (boost := self._boosts.get(name)) is not None:
            alone._boosts[name] = boost
        for policy in self.policies.matching(name):
            alone.policies.add(policy)
        return alone

    def layers(self, name: str, instant: float | None = None, policies: Sequence[Policy] | None = None) -> list[Layer]:
        """Every place that has a say for a name, the strongest first; ``docs/resolution.md`` has the table.

        ``instant``: another one than the catalog's. ``policies``: those that match the name then, where that is known.
        """
        if instant is None:
            instant = self.instant
        layers = self.exact_layers(name, instant)
        if layers and layers[0].source == "boost":
            return layers
        return layers + self.shared_layers(self.policies.matching(name, instant) if policies is None else policies)

    def exact_layers(self, name: str, instant: float) -> list[Layer]:
        """Those that name exactly this service. A boost stands alone, also without the shared ones."""
        boost = self._boosts.get(name)
        if boost is not None and instant < seconds(boost.ends_at, 0):
            return [Layer("boost", name, boost.rules)]
        layers = []
        service = self.service(name)
        if service is not None:
            layers.append(Layer("service", name, service.rules))
        if (entry := self.file.services.get(name)) is not None:
            rules = decode_rules(entry)
            # The record stands above the entry: its operations, even none, replace the entry's.
            layers.append(Layer("file", name, rules if service is None else Rules(rules.sampling_strategy)))
        return layers

    def shared_layers(self, policies: Sequence[Policy]) -> list[Layer]:
        """The rest, for names that these policies match."""
        layers = [Layer("policy", policy.name, policy.rules) for policy in policies]
        if self.default is not None:
            layers.append(Layer("default", DEFAULT_POLICY, self.default.rules))
            if self.file.default is not None:
                layers.append(Layer("file-default", "", Rules(self.file.default.sampling_strategy)))
        elif self.file.default is not None:
            layers.append(Layer("file-default", "", self.file.default))
        layers.append(LAST_LAYER)
        return layers

    def service(self, name: str) -> ServiceConfiguration | None:
        """The enabled record of a service."""
        stored = self._records["service"].get(name)
        if stored is None or (self.problems and Key("service", name) in self.problems):
            return None
        service = decode_record(ServiceConfiguration, stored.body)
        return service if service.enabled else None

    def resolve(self, name: str) -> EffectiveStrategy:
        """What a service is answered; total over all names."""
        return strategy_of(self.layers(name))


_rules_decoder = msgspec.json.Decoder(Rules)
decode_rules = _rules_decoder.decode

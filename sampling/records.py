"""The records of the configuration, and the canonical JSON text in which they are stored, copied and kept in memory."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec

from sampling.export_configuration import ExportConfiguration
from sampling.strategy import OperationStrategy, SamplingStrategy, Value, check_name, check_together

Kind = Literal["service", "policy", "boost"]
KINDS: tuple[Kind, ...] = get_args(Kind)

DEFAULT_POLICY = "default"
"""The policy that holds the default strategy: there from the first migration, reset but never deleted."""

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class Rules(Value, frozen=True, gc=False):
    """What one place says about sampling: a strategy, operation strategies, both or nothing.

    ``operation_strategies`` is None where the place does not speak of operations. An empty tuple comes only from a
    strategies file whose operations were all dropped: Jaeger then answers an empty list.
    """

    sampling_strategy: SamplingStrategy | None = None
    operation_strategies: tuple[OperationStrategy, ...] | None = None


class ServiceConfiguration(Value, frozen=True, gc=False):
    """What is configured for exactly one service name.

    Raises:
        ValueError: naming the field and the cure.
    """

    sampling_strategy: SamplingStrategy | None = None
    operation_strategies: tuple[OperationStrategy, ...] | None = None
    export_config: ExportConfiguration | None = None
    enabled: bool = True
    description: str = ""
    managed_by: str | None = None

    def __post_init__(self) -> None:
        _normalize_rules(self)

    @property
    def rules(self) -> Rules:
        return Rules(self.sampling_strategy, self.operation_strategies)


class SamplingPolicy(Value, frozen=True, gc=False):
    """Rules for every service whose name matches a glob pattern, within an optional half-open time window.

    ``priority``: higher wins. The policy named ``default`` has the pattern ``*`` and stands below all others.

    Raises:
        ValueError: naming the field and the cure.
    """

    service_pattern: str
    priority: Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)] = 0
    sampling_strategy: SamplingStrategy | None = None
    operation_strategies: tuple[OperationStrategy, ...] | None = None
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    enabled: bool = True
    description: str = ""
    managed_by: str | None = None

    def __post_init__(self) -> None:
        _normalize_rules(self)
        check_name("servicePattern", self.service_pattern)
        _normalize_instant(self, "starts_at", "startsAt")
        _normalize_instant(self, "ends_at", "endsAt")
        if self.starts_at is not None and self.ends_at is not None and self.ends_at <= self.starts_at:
            raise ValueError("endsAt: must be later than startsAt")

    @property
    def policy_type(self) -> Literal["probabilistic", "ratelimiting", "operations"]:
        if self.sampling_strategy is None:
            return "operations"
        return "ratelimiting" if self.sampling_strategy.type == "ratelimiting" else "probabilistic"

    @property
    def rules(self) -> Rules:
        return Rules(self.sampling_strategy, self.operation_strategies)


class Boost(Value, frozen=True, gc=False):
    """A temporary replacement of one service's whole answer. It ends by itself.

    Raises:
        ValueError: naming the field and the cure.
    """

    ends_at: Instant
    sampling_strategy: SamplingStrategy | None = None
    operation_strategies: tuple[OperationStrategy, ...] | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        _normalize_rules(self)
        _normalize_instant(self, "ends_at", "endsAt")
        if self.sampling_strategy is None:
            raise ValueError("samplingStrategy: a boost replaces the whole answer, so it needs a strategy")

    @property
    def rules(self) -> Rules:
        return Rules(self.sampling_strategy, self.operation_strategies)


Record = ServiceConfiguration | SamplingPolicy | Boost


class Key(msgspec.Struct, frozen=True, order=True, gc=False):
    """What a record is found by. The name of a boost is its service.

    No tuple: the garbage collector would walk 100,000 of them while polls wait.
    """

    kind: Kind
    name: str


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A record as it is kept: compact canonical JSON, and the commit that wrote it last.

    ``body`` is parsed when somebody asks (100,000 parsed records would be half a gigabyte of objects).
    """

    revision: int
    commit_id: str
    body: bytes

    @property
    def etag(self) -> str:
        return etag(self.revision, self.commit_id)


class Change(msgspec.Struct, frozen=True, gc=False):
    """The new state of one key: None where it was deleted."""

    key: Key
    record: Stored | None


def etag(revision: int, commit_id: str) -> str:
    """The HTTP entity tag that names a commit: ``"120-3f9a1c02"`` with its quotes."""
    return f'"{revision}-{commit_id[:8]}"'


DEFAULT_KEY = Key("policy", DEFAULT_POLICY)

RECORD_TYPES: dict[Kind, type[Record]] = {"service": ServiceConfiguration, "policy": SamplingPolicy, "boost": Boost}

RecordType = TypeVar("RecordType", bound=Record)

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {
    record_type: msgspec.json.Decoder(record_type) for record_type in RECORD_TYPES.values()
}
_encode = msgspec.json.Encoder().encode


def encode_record(record: Record) -> bytes:
    """The canonical text: equal records have equal bytes, whatever spelling they came in."""
    return _encode(record)


def decode_record(record_type: type[RecordType], body: bytes) -> RecordType:
    """Read a canonical text, or one that somebody edited.

    Raises:
        ValueError: with the path of the field (``msgspec.ValidationError`` is one).
    """
    record: RecordType = _decoders[record_type].decode(body)
    return record


class _Managed(msgspec.Struct, rename="camel", gc=False):
    managed_by: str | None = None


_managed = msgspec.json.Decoder(_Managed)


def owner_of(body: bytes) -> str | None:
    """Who manages a record, from its canonical text; the rest of it is skipped. Raises ValueError."""
    return _managed.decode(body).managed_by


def _normalize_rules(record: Record) -> None:
    field, text = ("reason", record.reason) if isinstance(record, Boost) else ("description", record.description)
    if "\0" in text:
        raise ValueError(f"{field}: must not contain the character U+0000, which no database keeps")
    if record.operation_strategies == ():
        record._normalize("operation_strategies", None)
    check_together(record.sampling_strategy, record.operation_strategies or ())


def _normalize_instant(record: SamplingPolicy | Boost, field: str, name: str) -> None:
    """The same instant has one text, whatever zone it came in."""
    instant: datetime | None = getattr(record, field)
    if instant is None or instant.tzinfo is UTC:
        return
    try:
        record._normalize(field, instant.astimezone(UTC))
    except OverflowError:
        raise ValueError(f"{name}: must be between the years 1 and 9999 in UTC") from None


SILENT_DEFAULT = SamplingPolicy(service_pattern="*", enabled=False)
"""The default record until somebody sets it, and again after a reset: it says nothing."""

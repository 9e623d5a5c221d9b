"""Records as the API shows them: every field, defaults too, with revision, owner and source."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from sampling.catalog import Catalog
from sampling.export_configuration import ExportConfiguration
from sampling.records import (
    SILENT_DEFAULT,
    Boost,
    Instant,
    Record,
    Rules,
    SamplingPolicy,
    ServiceConfiguration,
    Stored,
    decode_record,
)
from sampling.strategy import OperationStrategy, SamplingStrategy
from server.sidecar.errors import invalid_record


class DefaultBody(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The default as it is sent: it stands below all policies, always, so it has neither pattern, priority nor window."""

    sampling_strategy: SamplingStrategy | None = None
    operation_strategies: tuple[OperationStrategy, ...] | None = None
    description: str = ""


class BoostBody(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A boost as it is sent. It ends after a while or at an instant: one of the two is given."""

    sampling_strategy: SamplingStrategy
    operation_strategies: tuple[OperationStrategy, ...] | None = None
    duration: Annotated[str | None, msgspec.Meta(description="Like `90s`, `30m`, `1h30m`; at most `30d`.")] = None
    ends_at: Instant | None = None
    reason: Annotated[str, msgspec.Meta(max_length=1024, description="Kept in the boost and, alone, in the log.")] = ""


class NewBoost(BoostBody, frozen=True, kw_only=True):
    """A boost with the service that it is for."""

    service: str


_ALWAYS = frozenset({"managedBy", "revision", "etag", "coversFileEntry", "problem"})

READ_ONLY: Mapping[type, frozenset[str]] = {
    ServiceConfiguration: _ALWAYS | {"service", "source"},
    SamplingPolicy: _ALWAYS | {"name", "policyType"},
    DefaultBody: _ALWAYS,
    BoostBody: _ALWAYS | {"service", "active"},
    NewBoost: _ALWAYS | {"active"},
}
"""Members of an answer that may come back in a body, where they say nothing: what was read can be edited and sent."""


class StoredView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What every record has."""

    revision: int
    etag: str
    """As in the header of the same name: what ``If-Match`` takes."""
    problem: str | UnsetType = UNSET
    """Why the record cannot be read, so that it says nothing: it was edited behind the program's back."""


class ServiceView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A service's record, or its entry in the strategies file."""

    service: str
    sampling_strategy: SamplingStrategy | None
    operation_strategies: tuple[OperationStrategy, ...]
    export_config: ExportConfiguration | None = None
    enabled: bool = True
    description: str = ""
    source: Literal["record", "file"] = "record"
    covers_file_entry: bool = False
    """Whether the strategies file has an entry for the name, which deleting this record would uncover."""
    managed_by: str | None = None
    revision: int | None
    """None for an entry of the strategies file."""
    etag: str | None
    problem: str | UnsetType = UNSET
    """As in ``StoredView``."""


class PolicyView(StoredView, frozen=True, kw_only=True):
    """A policy's record."""

    name: str
    policy_type: str
    service_pattern: str
    priority: int
    sampling_strategy: SamplingStrategy | None
    operation_strategies: tuple[OperationStrategy, ...]
    starts_at: Instant | None
    ends_at: Instant | None
    enabled: bool
    description: str
    managed_by: str | None


class DefaultView(StoredView, frozen=True, kw_only=True):
    """The default record; it gives nothing while it is silent."""

    sampling_strategy: SamplingStrategy | None
    operation_strategies: tuple[OperationStrategy, ...]
    description: str
    covers_file_entry: bool
    """Whether the strategies file has a default, which a reset would uncover."""
    managed_by: str | None


class BoostView(StoredView, frozen=True, kw_only=True):
    """A boost's record."""

    service: str
    sampling_strategy: SamplingStrategy | None
    operation_strategies: tuple[OperationStrategy, ...]
    ends_at: Instant | None
    active: bool
    """False once it has ended; it stays in the list until it is deleted or replaced."""
    reason: str


_DISABLED = ServiceConfiguration(enabled=False)
_ENDED = Boost(datetime.fromtimestamp(0, UTC), SamplingStrategy("probabilistic", 0))

RecordType = TypeVar("RecordType", bound=Record)


def _read(stored: Stored, unreadable: RecordType) -> tuple[RecordType, str | UnsetType]:
    """The record, or what stands for it where it cannot be read, and why."""
    try:
        return decode_record(type(unreadable), stored.body), UNSET
    except ValueError as error:
        return unreadable, invalid_record(error).detail


def service_view(catalog: Catalog, name: str, stored: Stored) -> ServiceView:
    record, problem = _read(stored, _DISABLED)
    return ServiceView(
        service=name,
        sampling_strategy=record.sampling_strategy,
        operation_strategies=record.operation_strategies or (),
        export_config=record.export_config,
        enabled=record.enabled,
        description=record.description,
        managed_by=record.managed_by,
        revision=stored.revision,
        etag=stored.etag,
        problem=problem,
        covers_file_entry=name in catalog.file.services,
    )


def file_entry_view(name: str, rules: Rules) -> ServiceView:
    return ServiceView(
        service=name,
        sampling_strategy=rules.sampling_strategy,
        operation_strategies=rules.operation_strategies or (),
        revision=None,
        etag=None,
        source="file",
    )


def policy_view(name: str, stored: Stored) -> PolicyView:
    record, problem = _read(stored, SILENT_DEFAULT)
    return PolicyView(
        name=name,
        policy_type=record.policy_type,
        service_pattern=record.service_pattern,
        priority=record.priority,
        sampling_strategy=record.sampling_strategy,
        operation_strategies=record.operation_strategies or (),
        starts_at=record.starts_at,
        ends_at=record.ends_at,
        enabled=record.enabled,
        description=record.description,
        managed_by=record.managed_by,
        revision=stored.revision,
        etag=stored.etag,
        problem=problem,
    )


def default_view(catalog: Catalog, stored: Stored) -> DefaultView:
    record, problem = _read(stored, SILENT_DEFAULT)
    return DefaultView(
        sampling_strategy=record.sampling_strategy,
        operation_strategies=record.operation_strategies or (),
        description=record.description,
        managed_by=record.managed_by,
        revision=stored.revision,
        etag=stored.etag,
        problem=problem,
        covers_file_entry=catalog.file.default is not None,
    )


def boost_view(catalog: Catalog, service: str, stored: Stored) -> BoostView:
    record, problem = _read(stored, _ENDED)
    readable = problem is UNSET
    return BoostView(
        service=service,
        sampling_strategy=record.sampling_strategy if readable else None,
        operation_strategies=record.operation_strategies or (),
        ends_at=record.ends_at if readable else None,
        active=readable and catalog.instant < record.ends_at.timestamp(),
        reason=record.reason,
        revision=stored.revision,
        etag=stored.etag,
        problem=problem,
    )

"""Records as the API shows them: every field, defaults too, with revision, owner and source."""

from typing import Literal

import msgspec

from sampling.records import (
    ExportConfiguration,
    Instant,
    Rules,
    SamplingPolicy,
    ServiceConfiguration,
    Stored,
    decode_record,
)
from sampling.strategy import OperationStrategy, SamplingStrategy
from server.served import Served

READ_ONLY = frozenset({"service", "name", "policyType", "source", "coversFileEntry", "managedBy", "revision"})
"""Members of an answer that may come back in a body, where they say nothing: what was read can be edited and sent."""


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


class PolicyView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
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
    revision: int


class DefaultView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The default record; it gives nothing while it is silent."""

    sampling_strategy: SamplingStrategy | None
    operation_strategies: tuple[OperationStrategy, ...]
    description: str
    covers_file_entry: bool
    """Whether the strategies file has a default, which a reset would uncover."""
    managed_by: str | None
    revision: int


def service_view(served: Served, name: str, stored: Stored) -> ServiceView:
    record = decode_record(ServiceConfiguration, stored.body)
    return ServiceView(
        service=name,
        sampling_strategy=record.sampling_strategy,
        operation_strategies=record.operation_strategies or (),
        export_config=record.export_config,
        enabled=record.enabled,
        description=record.description,
        managed_by=record.managed_by,
        revision=stored.revision,
        covers_file_entry=name in served.catalog.file.services,
    )


def file_entry_view(name: str, rules: Rules) -> ServiceView:
    return ServiceView(
        service=name,
        sampling_strategy=rules.sampling_strategy,
        operation_strategies=rules.operation_strategies or (),
        revision=None,
        source="file",
    )


def policy_view(name: str, stored: Stored) -> PolicyView:
    record = decode_record(SamplingPolicy, stored.body)
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
    )


def default_view(served: Served, stored: Stored) -> DefaultView:
    record = decode_record(SamplingPolicy, stored.body)
    return DefaultView(
        sampling_strategy=record.sampling_strategy,
        operation_strategies=record.operation_strategies or (),
        description=record.description,
        managed_by=record.managed_by,
        revision=stored.revision,
        covers_file_entry=served.catalog.file.default is not None,
    )

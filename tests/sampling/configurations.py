"""Whole configurations, their catalogs, and work that is done in slices."""

from typing import TypeVar

import msgspec
from hypothesis import strategies as st

from sampling.catalog import Catalog
from sampling.records import SILENT_DEFAULT, Change, Key, Kind, Record, Rules, SamplingPolicy, Stored, encode_record
from sampling.strategies_file import NO_FILE, StrategiesFile
from tests.sampling.generate import NAMES, NOW, boosts, file_rules, policies, services
from tests.sampling.reference_resolver import Configuration

NOW_SECONDS = NOW.timestamp()
POLICIES = ["p", "q", "r", "s"]

names = st.sampled_from(NAMES)

Result = TypeVar("Result")


def stored(record: Record, revision: int = 1) -> Stored:
    return Stored(revision, "0" * 16, encode_record(record))


def change(kind: Kind, name: str, record: Record | None) -> Change:
    return Change(Key(kind, name), None if record is None else stored(record))


def strategies_file(services: dict[str, Rules], default: Rules | None) -> StrategiesFile:
    return msgspec.structs.replace(
        NO_FILE, services={name: msgspec.json.encode(rules) for name, rules in services.items()}, default=default
    )


def changes_of(configuration: Configuration) -> list[Change]:
    return [
        *(change("service", name, record) for name, record in configuration.services.items()),
        *(change("boost", name, record) for name, record in configuration.boosts.items()),
        *(change("policy", name, record) for name, record in configuration.policies.items()),
        change("policy", "default", configuration.default or SILENT_DEFAULT),
    ]


def catalog_of(configuration: Configuration, instant: float = NOW_SECONDS) -> Catalog:
    catalog = Catalog(strategies_file(configuration.file_services, configuration.file_default), instant)
    catalog.apply(changes_of(configuration))
    return catalog


@st.composite
def defaults(draw: st.DrawFn) -> SamplingPolicy:
    policy = draw(policies())
    return SamplingPolicy("*", 0, policy.sampling_strategy, policy.operation_strategies, enabled=policy.enabled)


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    return Configuration(
        services=draw(st.dictionaries(names.filter(bool), services(), max_size=3)),
        boosts=draw(st.dictionaries(names.filter(bool), boosts(), max_size=2)),
        policies=draw(st.dictionaries(st.sampled_from(POLICIES), policies(), max_size=4)),
        default=draw(st.none() | defaults()),
        file_services=draw(st.dictionaries(names, file_rules(), max_size=3)),
        file_default=draw(st.none() | file_rules()),
    )

"""Who gets what: the catalog against the slow reference resolver."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.catalog import Catalog
from sampling.explanation import explain
from sampling.records import (
    SILENT_DEFAULT,
    Boost,
    Change,
    Key,
    Kind,
    Record,
    Rules,
    SamplingPolicy,
    ServiceConfiguration,
    Stored,
    encode_record,
)
from sampling.strategies_file import NO_FILE, StrategiesFile
from sampling.strategy import OperationStrategy, SamplingStrategy
from tests.sampling.generate import NAMES, NOW, boosts, file_rules, policies, services
from tests.sampling.reference_resolver import Configuration, answer

names = st.sampled_from(NAMES)
NOW_SECONDS = NOW.timestamp()


def stored(record: Record, revision: int = 1) -> Stored:
    return Stored(revision, "0" * 16, encode_record(record))


def change(kind: Kind, name: str, record: Record | None) -> Change:
    return Change(Key(kind, name), None if record is None else stored(record))


def strategies_file(services: dict[str, Rules], default: Rules | None) -> StrategiesFile:
    return msgspec.structs.replace(
        NO_FILE, services={name: encode_rules(rules) for name, rules in services.items()}, default=default
    )


def encode_rules(rules: Rules) -> bytes:
    return msgspec.json.encode(rules)


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
def configurations(draw: st.DrawFn) -> Configuration:
    default = draw(st.none() | policies())
    return Configuration(
        services=draw(st.dictionaries(names.filter(bool), services(), max_size=3)),
        boosts=draw(st.dictionaries(names.filter(bool), boosts(), max_size=2)),
        policies=draw(st.dictionaries(st.sampled_from(["p", "q", "r", "s"]), policies(), max_size=4)),
        default=None if default is None else SamplingPolicy("*", 0, *default_rules(default), enabled=default.enabled),
        file_services=draw(st.dictionaries(names, file_rules(), max_size=3)),
        file_default=draw(st.none() | file_rules()),
    )


def default_rules(policy: SamplingPolicy) -> tuple[SamplingStrategy | None, tuple[OperationStrategy, ...] | None]:
    return policy.sampling_strategy, policy.operation_strategies


def assert_agrees(catalog: Catalog, configuration: Configuration, name: str, hours: float = 0) -> None:
    strategy, operations = answer(configuration, name, NOW + timedelta(hours=hours))
    effective = catalog.resolve(name)
    assert effective.strategy == strategy
    assert (None if effective.operations is None else list(effective.operations)) == operations


@given(configurations())
def test_every_name_gets_what_the_reference_resolver_says(configuration: Configuration) -> None:
    catalog = catalog_of(configuration)
    for name in NAMES:
        assert_agrees(catalog, configuration, name)


@given(configurations(), configurations())
def test_changes_one_by_one_lead_where_a_fresh_catalog_starts(before: Configuration, after: Configuration) -> None:
    catalog = catalog_of(before)
    catalog.file = strategies_file(after.file_services, after.file_default)
    kept = {change.key for change in changes_of(after)}
    for key in (change.key for change in changes_of(before)):
        if key not in kept:
            catalog.apply([Change(key, None)])
    for one in changes_of(after):
        catalog.apply([one])
    for name in NAMES:
        assert_agrees(catalog, after, name)


@given(configurations(), st.lists(st.sampled_from([-3, -2, -1.5, -1, 0, 1, 1.5, 2, 3]), max_size=5))
def test_windows_follow_the_clock_also_when_it_goes_back(configuration: Configuration, hours: list[float]) -> None:
    catalog = catalog_of(configuration)
    for hour in hours:
        before = [catalog.resolve(name) for name in NAMES]
        crossed = catalog.advance((NOW + timedelta(hours=hour)).timestamp())
        assert crossed or before == [catalog.resolve(name) for name in NAMES]
        for name in NAMES:
            assert_agrees(catalog, configuration, name, hour)


@given(configurations())
def test_a_copy_answers_the_same_and_changes_alone(configuration: Configuration) -> None:
    catalog = catalog_of(configuration)
    twin = run(catalog)
    twin.apply([change("policy", "all", SamplingPolicy("*", 99, SamplingStrategy("probabilistic", 0.125)))])
    for name in NAMES:
        assert_agrees(catalog, configuration, name)


def run(catalog: Catalog) -> Catalog:
    work = catalog.copy_in_slices()
    while True:
        try:
            next(work)
        except StopIteration as end:
            twin: Catalog = end.value
            return twin


@given(configurations())
def test_an_explanation_shows_the_answer_one_winner_and_every_operation(configuration: Configuration) -> None:
    catalog = catalog_of(configuration)
    for name in NAMES:
        explanation = explain(catalog, name)
        assert explanation.effective == catalog.resolve(name)
        assert [each.strategy for each in explanation.candidates if each.outcome == "wins"] == [explanation.effective.strategy]
        assert [origin.operation for origin in explanation.operations] == list(explanation.effective.operations or ())
        assert all(each.reason for each in explanation.candidates)
        places = [(each.source, each.key) for each in explanation.candidates]
        assert len(places) == len(set(places))


@pytest.mark.parametrize("name", ["with-record", "with-entry", "with-boost"])
def test_a_name_is_configured_where_record_entry_or_boost_names_it(name: str) -> None:
    strategy = SamplingStrategy("probabilistic", 0.5)
    configuration = Configuration(
        services={"with-record": ServiceConfiguration()},
        boosts={"with-boost": Boost(NOW, strategy)},
        policies={"p": SamplingPolicy("*", sampling_strategy=strategy)},
        file_services={"with-entry": Rules(strategy)},
    )
    catalog = catalog_of(configuration)
    assert catalog.is_configured(name)
    assert not catalog.is_configured(name + "-not")


def test_a_record_that_somebody_broke_counts_as_absent_and_is_told() -> None:
    catalog = Catalog()
    key = Key("service", "broken")
    catalog.apply([Change(key, Stored(1, "0" * 16, b'{"samplingStrategy":{"type":"probabilistic","param":7}}'))])
    assert catalog.resolve("broken") == catalog.resolve("unknown")
    assert "param" in catalog.problems[key]
    catalog.apply([change("service", "broken", ServiceConfiguration(SamplingStrategy("probabilistic", 0.25)))])
    assert catalog.resolve("broken").strategy.param == 0.25
    assert not catalog.problems

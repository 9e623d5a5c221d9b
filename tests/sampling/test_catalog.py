"""Who gets what: the catalog against the slow reference resolver."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.catalog import Catalog
from sampling.records import Boost, Change, Key, Rules, SamplingPolicy, ServiceConfiguration, Stored
from sampling.slices import at_once
from sampling.strategy import SamplingStrategy
from tests.sampling.configurations import catalog_of, change, changes_of, configurations, strategies_file
from tests.sampling.generate import NAMES, NOW
from tests.sampling.reference_resolver import Configuration, answer


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
    kept = {each.key for each in changes_of(after)}
    for key in (each.key for each in changes_of(before)):
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
    twin = at_once(catalog.copy_in_slices())
    twin.apply([change("policy", "all", SamplingPolicy("*", 99, SamplingStrategy("probabilistic", 0.125)))])
    for name in NAMES:
        assert_agrees(catalog, configuration, name)


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


@given(configurations(), st.sampled_from([-3, -1, 0, 1.5, 3]))
def test_a_catalog_of_one_name_answers_it_alike_at_every_instant(configuration: Configuration, hours: float) -> None:
    catalog = catalog_of(configuration)
    alone = [catalog.only(name) for name in NAMES]
    catalog.apply([change("policy", "all", SamplingPolicy("*", 99, SamplingStrategy("probabilistic", 0.125)))])
    for name, one in zip(NAMES, alone, strict=True):
        one.advance((NOW + timedelta(hours=hours)).timestamp())
        assert_agrees(one, configuration, name, hours)

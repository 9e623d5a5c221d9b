"""The reported effect of a change against all answers before and after, one by one."""

import copy
from datetime import timedelta
from time import monotonic
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sampling.catalog import Catalog
from sampling.effect import AnswerDifference, Effect, effect_of
from sampling.encode import encode_json, encode_protobuf
from sampling.records import SILENT_DEFAULT, Boost, Change, Kind, Record, Rules, SamplingPolicy, ServiceConfiguration
from sampling.slices import at_once
from sampling.strategy import EffectiveStrategy, OperationStrategy, SamplingStrategy
from tests.sampling.configurations import (
    NOW_SECONDS,
    POLICIES,
    catalog_of,
    change,
    configurations,
    defaults,
    names,
    strategies_file,
)
from tests.sampling.generate import NOW, boosts, policies, services
from tests.sampling.reference_resolver import Configuration, answer

HALF = SamplingStrategy("probabilistic", 0.5)
Changed = tuple[Configuration, list[Change]]


@st.composite
def changed(draw: st.DrawFn, before: Configuration) -> Changed:
    """The configuration after some writes and deletions, and these as changes."""
    after = copy.deepcopy(before)
    changes = []
    writes: list[tuple[Kind, dict[str, Any], st.SearchStrategy[str], st.SearchStrategy[Record]]] = [
        ("service", after.services, names.filter(bool), services()),
        ("boost", after.boosts, names.filter(bool), boosts()),
        ("policy", after.policies, st.sampled_from(POLICIES), policies()),
    ]
    for kind, records, record_names, made in writes:
        for name, record in draw(st.dictionaries(record_names, st.none() | made, max_size=2)).items():
            records.pop(name, None)
            if record is not None:
                records[name] = record
            changes.append(change(kind, name, record))
    if draw(st.booleans()):
        after.default = draw(st.none() | defaults())
        changes.append(change("policy", "default", after.default or SILENT_DEFAULT))
    return after, changes


def effect(before: Catalog, changes: list[Change], polled: list[str] | None = None) -> Effect:
    after = at_once(before.copy_in_slices())
    after.apply(changes)
    return at_once(effect_of(before, after, changes, polled or [], monotonic() + 60))


@given(st.data(), configurations(), st.lists(names, unique=True))
def test_the_effect_is_the_difference_of_all_answers(data: st.DataObject, before: Configuration, polled: list[str]) -> None:
    after, changes = data.draw(changed(before))
    reported = effect(catalog_of(before), changes, polled)
    configured = {*before.services, *before.boosts, *before.file_services, *after.services, *after.boosts}
    asked = sorted(configured | {*polled})

    assert (reported.examined, reported.complete) == (len(asked), True)
    differing = [name for name in asked if answer(before, name, NOW) != answer(after, name, NOW)]
    assert [each.service for each in reported.answers] == differing
    assert reported.changed == len(differing)

    old, new = catalog_of(before), catalog_of(after)
    assert [AnswerDifference(name, old.resolve(name), new.resolve(name)) for name in differing] == reported.answers
    for encode in (encode_protobuf, encode_json):
        assert [name for name in asked if encode(old.resolve(name)) != encode(new.resolve(name))] == differing


def many(count: int, record: ServiceConfiguration) -> Catalog:
    catalog = Catalog(instant=NOW_SECONDS)
    catalog.apply([change("service", f"s{number:03}", record) for number in range(count)])
    return catalog


def test_the_first_hundred_answers_by_name_are_shown_and_all_are_counted() -> None:
    found = effect(many(300, ServiceConfiguration()), [change("policy", "all", SamplingPolicy("*", 0, HALF))], ["a", "z"])
    assert (found.changed, found.examined) == (302, 302)
    assert [each.service for each in found.answers] == ["a", *(f"s{number:03}" for number in range(99))]


def test_answers_with_very_many_operations_are_shown_only_in_part() -> None:
    operations = tuple(OperationStrategy(f"GET /{number}", 1) for number in range(1000))
    found = effect(many(300, ServiceConfiguration()), [change("policy", "all", SamplingPolicy("*", 0, HALF, operations))])
    assert (found.changed, len(found.answers)) == (300, 10)


def test_a_name_that_only_the_file_has_is_examined() -> None:
    catalog = Catalog(strategies_file({"in-file": Rules(HALF)}, None), NOW_SECONDS)
    found = effect(catalog, [change("service", "in-file", ServiceConfiguration(SamplingStrategy("probabilistic", 1)))])
    assert [(each.service, each.before.strategy.param, each.after.strategy.param) for each in found.answers] == [
        ("in-file", 0.5, 1)
    ]


def test_a_policy_touches_only_what_its_old_or_new_pattern_matches() -> None:
    catalog = many(10, ServiceConfiguration())
    catalog.apply([change("policy", "p", SamplingPolicy("s001", 0, HALF))])
    found = effect(catalog, [change("policy", "p", SamplingPolicy("s002", 0, HALF))])
    assert [each.service for each in found.answers] == ["s001", "s002"]
    assert found.examined == 10


def param(rate: float) -> SamplingStrategy:
    return SamplingStrategy("probabilistic", rate)


def test_policies_that_stay_keep_their_place_beside_those_that_are_written() -> None:
    before = Catalog(instant=NOW_SECONDS)
    before.apply([change("policy", f"p{rank}", SamplingPolicy("*", rank, param(rate))) for rank, rate in ((1, 0.1), (5, 0.5))])
    assert effect(before, [change("policy", "p3", SamplingPolicy("*", 3, param(0.3)))], ["a"]).changed == 0
    assert effect(before, [change("policy", "p1", SamplingPolicy("*", 1, param(0.2)))], ["a"]).changed == 0
    for written, rate in ((None, 0.1), (SamplingPolicy("*", 0, param(0.5)), 0.1), (SamplingPolicy("*", 9, param(0.9)), 0.9)):
        found = effect(before, [change("policy", "p5", written)], ["a"])
        assert found.answers == [AnswerDifference("a", EffectiveStrategy(param(0.5)), EffectiveStrategy(param(rate)))]


def test_names_that_other_policies_match_are_judged_on_their_own() -> None:
    before = Catalog(instant=NOW_SECONDS)
    before.apply([change("policy", "x", SamplingPolicy("x-*", 5, param(0.1)))])
    for pattern, changing in (("*", ["a", "b"]), ("x-1", []), ("?", ["a", "b"])):
        found = effect(before, [change("policy", "new", SamplingPolicy(pattern, 1, HALF))], ["x-1", "a", "x-2", "b"])
        assert [each.service for each in found.answers] == changing


def test_both_catalogs_are_judged_at_the_instant_of_the_first() -> None:
    before = Catalog(instant=NOW_SECONDS)
    before.apply([change("policy", "p", SamplingPolicy("*", 0, HALF, ends_at=NOW + timedelta(hours=1)))])
    changes = [change("boost", "a", Boost(NOW + timedelta(hours=1), HALF))]
    after = at_once(before.copy_in_slices())
    after.apply(changes)
    after.instant += 7200
    found = at_once(effect_of(before, after, changes, ["b"], monotonic() + 60))
    assert (found.changed, found.examined) == (0, 2)


def test_at_the_deadline_it_stops_and_says_so() -> None:
    catalog = many(10, ServiceConfiguration())
    changes = [change("policy", "all", SamplingPolicy("*", 0, HALF))]
    after = at_once(catalog.copy_in_slices())
    after.apply(changes)
    found = at_once(effect_of(catalog, after, changes, [], monotonic()))
    assert (found.examined, found.changed, found.complete, found.answers) == (0, 0, False, [])


def test_it_gives_way_after_every_name() -> None:
    catalog = many(1000, ServiceConfiguration())
    changes = [change("policy", "all", SamplingPolicy("*", 0, HALF))]
    after = at_once(catalog.copy_in_slices())
    after.apply(changes)
    steps = sum(1 for _ in effect_of(catalog, after, changes, [], monotonic() + 60))
    assert steps >= 2000, "a thousand names, which both catalogs have"


def test_a_polled_name_that_is_no_text_can_be_shown() -> None:
    found = effect(Catalog(instant=NOW_SECONDS), [change("policy", "all", SamplingPolicy("*", 0, HALF))], ["\udcff"])
    assert found.changed == 1
    assert b"\xef\xbf\xbd" in msgspec.json.encode(found)

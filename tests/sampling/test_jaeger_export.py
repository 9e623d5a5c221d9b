"""Jaeger's format out of our records and into them: who is not named among the exceptions has the same answers."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sampling.catalog import Catalog
from sampling.jaeger_export import JaegerExport, export_in_slices
from sampling.jaeger_import import JaegerImport
from sampling.pattern import Pattern
from sampling.records import (
    SILENT_DEFAULT,
    Boost,
    Change,
    Key,
    Record,
    Rules,
    SamplingPolicy,
    ServiceConfiguration,
    Stored,
    encode_record,
)
from sampling.slices import at_once
from sampling.strategies_file import NO_FILE, StrategiesFile
from sampling.strategies_file_reader import read
from sampling.strategies_file_writer import pieces
from sampling.strategy import OperationStrategy, SamplingStrategy
from tests.sampling.generate import NAMES, NOW, boosts, operation_lists, policies, probabilities, rate_limiting, rules, services
from tests.sampling.test_configuration_document import steps

INSTANT = NOW.timestamp()
STRANGERS = [*NAMES, "nobody", "zz"]


def catalog_of(records: Mapping[Key, Record], file: StrategiesFile = NO_FILE) -> Catalog:
    catalog = Catalog(file, INSTANT)
    catalog.apply([Change(key, Stored(1, "c", encode_record(record))) for key, record in records.items()])
    return catalog


def exported(catalog: Catalog) -> tuple[StrategiesFile, JaegerExport]:
    """What a reader makes of the text, and what was said of it."""
    export = at_once(export_in_slices(at_once(catalog.copy_in_slices())))
    return read(b"".join(pieces(export.file))), export


def service(strategy: SamplingStrategy | None, *operations: OperationStrategy) -> ServiceConfiguration:
    return ServiceConfiguration(strategy, operations)


def unsaid(catalog: Catalog) -> list[tuple[str, str, str]]:
    return [(one.kind, one.name, one.reason) for one in exported(catalog)[1].unsaid]


file_entries = st.builds(
    Rules,
    st.builds(SamplingStrategy, type=st.just("probabilistic"), param=probabilities),
    st.none() | operation_lists(unique=False),
) | st.builds(Rules, rate_limiting)
file_defaults = file_entries | st.builds(Rules, rate_limiting, operation_lists(unique=False))
files = st.builds(
    lambda entries, default: StrategiesFile({name: msgspec.json.encode(entry) for name, entry in entries.items()}, default, ""),
    st.dictionaries(st.sampled_from(NAMES), file_entries, max_size=3),
    st.none() | file_defaults,
)
default_records = st.just(SILENT_DEFAULT) | rules().map(
    lambda given: SamplingPolicy("*", sampling_strategy=given[0], operation_strategies=given[1])
)
named = st.sampled_from(NAMES[1:])


@given(
    st.dictionaries(named, services(), max_size=4),
    st.dictionaries(st.sampled_from("pqrs"), policies(), max_size=3),
    st.dictionaries(named, boosts(), max_size=2),
    default_records,
    files,
)
@settings(max_examples=120)
def test_whoever_is_not_named_as_an_exception_gets_the_same_answer_from_the_file(
    some: Mapping[str, Record],
    patterns: Mapping[str, SamplingPolicy],
    boosted: Mapping[str, Record],
    default: Record,
    file: StrategiesFile,
) -> None:
    records: dict[Key, Record] = {Key("policy", "default"): default}
    records |= {Key("service", name): record for name, record in some.items()}
    records |= {Key("policy", name): record for name, record in patterns.items()}
    records |= {Key("boost", name): record for name, record in boosted.items()}
    catalog = catalog_of(records, file)
    text, export = exported(catalog)
    assert set(text.services) == set(some) | set(file.services)
    said = {(one.kind, one.name) for one in export.unsaid}
    reader = Catalog(text, INSTANT)
    for name in STRANGERS:
        if ("boost", name) in said or ("service", name) in said:
            continue
        if name not in text.services:
            spoken_for = any(
                ("policy", key) in said and Pattern(policy.service_pattern).matches(name) for key, policy in patterns.items()
            )
            if spoken_for or ("policy", "default") in said:
                continue
        assert reader.resolve(name) == catalog.resolve(name), name


@given(
    st.dictionaries(named, services(), max_size=4),
    st.dictionaries(st.sampled_from("pqrs"), policies(), max_size=3),
    default_records,
)
def test_nothing_is_named_that_the_file_says_and_jaeger_would_answer(
    some: Mapping[str, Record], patterns: Mapping[str, SamplingPolicy], default: Record
) -> None:
    records: dict[Key, Record] = {Key("policy", "default"): default}
    records |= {Key("service", name): record for name, record in some.items()}
    records |= {Key("policy", name): record for name, record in patterns.items()}
    catalog = catalog_of(records)
    text, export = exported(catalog)
    reader = Catalog(text, INSTANT)
    operations_for_all = text.default is not None and text.default.operation_strategies is not None
    for one in export.unsaid:
        if one.kind == "service":
            answer = catalog.resolve(one.name)
            limited = answer.strategy.type == "ratelimiting" and operations_for_all
            assert limited or reader.resolve(one.name) != answer, one


HALF = SamplingStrategy("probabilistic", 0.5)
LIMIT = SamplingStrategy("ratelimiting", 5)
HEALTH = OperationStrategy("/health", 0)


def test_policies_and_the_default_are_worked_into_every_configured_service() -> None:
    catalog = catalog_of(
        {
            Key("service", "batch-1"): service(None, OperationStrategy("run", 1)),
            Key("service", "plain"): ServiceConfiguration(SamplingStrategy("probabilistic", 0.9), enabled=False),
            Key("policy", "batch"): SamplingPolicy("batch-*", sampling_strategy=HALF),
            Key("policy", "default"): SamplingPolicy("*", operation_strategies=(HEALTH,)),
        }
    )
    text, _ = exported(catalog)
    health = {"operation": "/health", "type": "probabilistic", "param": 0.0}
    assert json.loads(b"".join(pieces(text))) == {
        "default_strategy": {"type": "probabilistic", "param": 0.001, "operation_strategies": [health]},
        "service_strategies": [
            {
                "service": "batch-1",
                "type": "probabilistic",
                "param": 0.5,
                "operation_strategies": [{"operation": "run", "type": "probabilistic", "param": 1.0}, health],
            },
            {"service": "plain", "type": "probabilistic", "param": 0.001, "operation_strategies": [health]},
        ],
    }


def test_a_boost_is_left_out_and_named_while_it_lasts() -> None:
    boost = Boost(NOW.replace(hour=13), SamplingStrategy("probabilistic", 1))
    over = Boost(NOW.replace(hour=12), SamplingStrategy("probabilistic", 1))
    catalog = catalog_of({Key("service", "a"): service(HALF), Key("boost", "a"): boost, Key("boost", "b"): over})
    text, export = exported(catalog)
    assert json.loads(text.services["a"]) == {"samplingStrategy": {"type": "probabilistic", "param": 0.5}}
    assert [(one.kind, one.name) for one in export.unsaid] == [("boost", "a")]
    assert "2026-11-23T13:00:00" in export.unsaid[0].reason


def test_each_thing_that_the_format_cannot_say_is_named_with_its_reason() -> None:
    catalog = catalog_of(
        {
            Key("service", "bounded"): service(SamplingStrategy("probabilistic", 0.5, 2)),
            Key("service", "limited"): service(LIMIT),
            Key("service", "plain"): service(HALF),
            Key("policy", "default"): SamplingPolicy(
                "*", sampling_strategy=SamplingStrategy("probabilistic", 0.1, 1), operation_strategies=(HEALTH,)
            ),
            Key("policy", "now"): SamplingPolicy("a*", sampling_strategy=HALF),
            Key("policy", "off"): SamplingPolicy("a*", sampling_strategy=HALF, enabled=False),
            Key("policy", "over"): SamplingPolicy("a*", sampling_strategy=HALF, ends_at=NOW),
            Key("policy", "soon"): SamplingPolicy("a*", sampling_strategy=HALF, starts_at=NOW.replace(hour=13)),
            Key("policy", "until"): SamplingPolicy("a*", sampling_strategy=HALF, ends_at=NOW.replace(hour=13)),
        }
    )
    found = unsaid(catalog)
    assert [(kind, name) for kind, name, _ in found] == [
        ("policy", "now"),
        ("policy", "soon"),
        ("policy", "until"),
        ("policy", "default"),
        ("service", "bounded"),
        ("service", "limited"),
    ]
    assert "only configured services get what 'a*' says" in found[0][2]
    assert found[1][2].startswith("starts at 2026-11-23T13:00:00")
    assert "would keep it after 2026-11-23T13:00:00" in found[2][2]
    assert found[3][2] == found[4][2] == "Jaeger's format has no lower bound of traces per second"
    assert found[5][2] == "Jaeger sends the default's operations beside its rate limit, and clients then drop the limit"


def test_operations_beside_a_limit_of_the_default_are_given_to_the_services_that_get_them() -> None:
    file = StrategiesFile({"a": msgspec.json.encode(Rules(HALF))}, Rules(LIMIT, (HEALTH,)), "")
    text, export = exported(catalog_of({}, file))
    assert export.unsaid == []
    assert text.default == Rules(LIMIT)
    assert Catalog(text).resolve("a").operations == (HEALTH,)


def test_a_record_that_cannot_be_read_is_named() -> None:
    catalog = catalog_of({Key("service", "good"): service(HALF)})
    catalog.apply([Change(Key("service", "bad"), Stored(1, "c", b"{")), Change(Key("policy", "bad"), Stored(1, "c", b"{"))])
    assert [(kind, name) for kind, name, _ in unsaid(catalog)] == [("policy", "bad"), ("service", "bad")]


def test_an_export_can_be_interrupted_at_every_record() -> None:
    some: dict[Key, Record] = {Key("service", str(number)): service(HALF) for number in range(300)}
    some |= {Key("policy", str(number)): SamplingPolicy("*") for number in range(300)}
    catalog = catalog_of(some)
    assert steps(export_in_slices(catalog)) >= 600


def imported(file: StrategiesFile, owner: str | None = None) -> JaegerImport:
    made = JaegerImport(file, owner)
    at_once(made.in_slices())
    return made


def answers_after(made: JaegerImport) -> Catalog:
    catalog = Catalog()
    catalog.apply([Change(key, Stored(1, "c", body)) for key, body in made.records.items()])
    return catalog


numbers = st.floats(0, 1) | st.integers(0, 100) | st.sampled_from([-1, 0.5, 1.5, 2**31])
types = st.sampled_from(["probabilistic"] * 8 + ["ratelimiting"] * 3 + ["const", ""])
operation_objects = st.fixed_dictionaries(
    {"operation": st.sampled_from(["/health", "a", "b", "ö", "", "c\n"]), "type": types, "param": numbers}
)
strategy_objects = st.fixed_dictionaries(
    {"type": types, "param": numbers}, optional={"operation_strategies": st.lists(operation_objects, max_size=3)}
)
service_objects = st.builds(
    lambda name, strategy: {"service": name, **strategy}, st.sampled_from([*NAMES, "x\x7f", "y" * 1025]), strategy_objects
)
documents: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {}, optional={"default_strategy": strategy_objects, "service_strategies": st.lists(service_objects, max_size=4)}
)
plain_operations = st.lists(
    st.fixed_dictionaries(
        {"operation": st.sampled_from(["/health", "a", "ö"]), "type": st.just("probabilistic"), "param": probabilities}
    ),
    max_size=2,
    unique_by=lambda operation: str(operation["operation"]),
)
plain_strategies = st.fixed_dictionaries(
    {"type": st.just("probabilistic"), "param": probabilities}, optional={"operation_strategies": plain_operations}
) | st.fixed_dictionaries({"type": st.just("ratelimiting"), "param": st.integers(0, 2**31 - 1)})
plain_documents: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "default_strategy": plain_strategies,
        "service_strategies": st.dictionaries(named, plain_strategies, max_size=4).map(
            lambda entries: [{"service": name, **entry} for name, entry in entries.items()]
        ),
    },
)


@given(documents | plain_documents)
@settings(max_examples=150)
def test_a_file_that_is_taken_strictly_gives_the_same_answers_from_the_store(document: dict[str, Any]) -> None:
    file = read(json.dumps(document).encode())
    made = imported(file)
    assume(made.warning_count == 0)
    before, after = Catalog(file), answers_after(made)
    for name in [*file.services, "somebody else"]:
        assert after.resolve(name) == before.resolve(name), name


@given(documents)
@settings(max_examples=150)
def test_a_file_that_is_taken_leniently_gives_answers_as_near_as_records_can(document: dict[str, Any]) -> None:
    file = read(json.dumps(document).encode())
    made = imported(file)
    before, after = Catalog(file), answers_after(made)
    for name in [*file.services, "somebody else"]:
        if len(name) > 1024 or "\x7f" in name or not name:
            assert Key("service", name) not in made.records
            continue
        old, new = before.resolve(name), after.resolve(name)
        assert new.strategy == old.strategy
        kept = {one.operation: one for one in reversed(old.operations or ()) if "\n" not in one.operation}
        assert {one.operation: one for one in new.operations or ()} == kept


def test_what_a_record_cannot_hold_is_a_warning_with_its_place() -> None:
    operations = (HEALTH, OperationStrategy("/health", 1), OperationStrategy("a\nb", 1))
    file = StrategiesFile(
        {
            "": msgspec.json.encode(Rules(HALF)),
            "a\tb": msgspec.json.encode(Rules(HALF)),
            "c": msgspec.json.encode(Rules(HALF, operations)),
        },
        Rules(LIMIT, (HEALTH,)),
        "",
    )
    made = imported(file, "me")
    no_name, once = "is left out, as no record can have this name: service: ", "the first of them is kept: a record holds an"
    assert [(warning.path, warning.message) for warning in made.warnings] == [
        (
            "default_strategy.operation_strategies",
            "are written into each service that has a probability: no record holds them beside a rate limit",
        ),
        ('service_strategies[""]', no_name + "must not be empty"),
        ('service_strategies["a\\tb"]', no_name + "must not contain control characters"),
        ('service_strategies["c"].operation_strategies["/health"]', once + " operation once"),
        (
            'service_strategies["c"].operation_strategies["a\\nb"]',
            "is left out, as no record can hold it: operation: must not contain control characters",
        ),
    ]
    assert made.warning_count == 5
    assert made.records == {
        Key("policy", "default"): encode_record(SamplingPolicy("*", sampling_strategy=LIMIT, managed_by="me")),
        Key("service", "c"): encode_record(ServiceConfiguration(HALF, (HEALTH,), managed_by="me")),
    }


def test_every_service_with_operations_that_cannot_be_held_has_its_own_warning() -> None:
    body = msgspec.json.encode(Rules(HALF, (OperationStrategy("a\nb", 1),)))
    made = imported(StrategiesFile({"a": body, "b": body}, None, ""))
    assert [warning.path.partition(".")[0] for warning in made.warnings] == [
        'service_strategies["a"]',
        'service_strategies["b"]',
    ]


def test_an_import_can_be_interrupted_at_every_service_and_within_long_lists_of_operations() -> None:
    many = StrategiesFile({str(number): msgspec.json.encode(Rules(HALF)) for number in range(300)}, None, "")
    assert steps(JaegerImport(many, None).in_slices()) >= 300
    long = Rules(HALF, tuple(OperationStrategy(str(number), 0) for number in range(3200)))
    assert steps(JaegerImport(StrategiesFile({"a": msgspec.json.encode(long)}, None, ""), None).in_slices()) >= 100

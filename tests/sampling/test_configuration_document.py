"""Our own format: what is written is read back byte for byte, and what is wrong is refused by its place."""

import json
from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sampling.catalog import Catalog
from sampling.configuration_document import MAX_ERRORS, DocumentReading
from sampling.configuration_document_outline import MAX_VALUE_CHARACTERS, DocumentError, outline_in_slices
from sampling.configuration_document_writer import Provenance, names_in_slices, pieces
from sampling.json_cursor import JsonCursor, JsonError
from sampling.name_order import sorted_in_slices
from sampling.records import SILENT_DEFAULT, Change, Key, Record, SamplingPolicy, Stored, encode_record
from sampling.slices import at_once
from sampling.strategy import SamplingStrategy
from tests.sampling.generate import boosts, policies, services

Result = TypeVar("Result")

PROVENANCE = Provenance(7, "3f9a1c02", "store")
DEFAULT = Key("policy", "default")


def steps(work: Generator[None, None, object]) -> int:
    return sum(1 for _ in work)


def catalog_of(records: Mapping[Key, bytes]) -> Catalog:
    catalog = Catalog()
    catalog.apply([Change(key, Stored(7, "3f9a1c02", body)) for key, body in records.items()])
    return catalog


def written(catalog: Catalog) -> bytes:
    return b"".join(pieces(catalog, at_once(names_in_slices(catalog)), PROVENANCE))


def reading_of(text: str, owner: str | None = None) -> DocumentReading:
    cursor = JsonCursor(text)
    outline = at_once(outline_in_slices(cursor))
    assert outline.format == "tracing-config"
    return DocumentReading(cursor, outline, owner, lambda _key, _record: None)


def read(text: str, owner: str | None = None) -> DocumentReading:
    reading = reading_of(text, owner)
    at_once(reading.in_slices())
    return reading


def errors(document: Any) -> list[tuple[str, str]]:
    reading = read(document if isinstance(document, str) else json.dumps(document))
    return [(bad.path, str(bad.error)) for bad in reading.errors]


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
owners = st.none() | names


def managed(records: st.SearchStrategy[Any]) -> st.SearchStrategy[Record]:
    return st.builds(lambda record, owner: msgspec.structs.replace(record, managed_by=owner), records, owners)


defaults = st.builds(
    lambda strategy, owner: SamplingPolicy("*", sampling_strategy=strategy, managed_by=owner),
    st.builds(SamplingStrategy, type=st.just("probabilistic"), param=st.floats(0, 1)),
    owners,
) | st.just(SILENT_DEFAULT)


@given(
    st.dictionaries(names, managed(services()), max_size=6),
    st.dictionaries(names.filter(lambda name: name != "default"), managed(policies()), max_size=4),
    st.dictionaries(names, boosts(), max_size=3),
    st.none() | defaults,
)
@settings(max_examples=80)
def test_what_is_written_is_read_back_with_the_same_bytes(
    some: Mapping[str, Record], rules: Mapping[str, Record], boosted: Mapping[str, Record], default: Record | None
) -> None:
    records = {Key("service", name): encode_record(record) for name, record in some.items()}
    records |= {Key("policy", name): encode_record(record) for name, record in rules.items()}
    if default is not None:
        records[DEFAULT] = encode_record(default)
    boosts = {Key("boost", name): encode_record(record) for name, record in boosted.items()}
    reading = read(written(catalog_of(records | boosts)).decode())
    assert reading.errors == []
    assert reading.records == records
    assert reading.boosts == len(boosts)


def test_a_document_does_not_depend_on_the_order_in_which_records_came() -> None:
    records = {Key("service", name): b"{}" for name in ("b", "ä", "a", "B", "a/b", "日本")}
    document = written(catalog_of(records))
    assert document == written(catalog_of(dict(reversed(records.items()))))
    assert list(json.loads(document)["services"]) == ["B", "a", "a/b", "b", "ä", "日本"]


def test_a_record_that_cannot_be_read_is_told_apart_and_keeps_the_document_from_being_imported() -> None:
    catalog = catalog_of({Key("service", "good"): b"{}", Key("service", "bad"): b'{"enabled": ', DEFAULT: b"null"})
    document = json.loads(written(catalog))
    assert (document["services"], document["default"]) == ({"good": {}}, None)
    assert [(one["kind"], one["name"], one["record"]) for one in document["unreadable"]] == [
        ("policy", "default", "null"),
        ("service", "bad", '{"enabled": '),
    ]
    assert [path for path, _ in errors(document)] == ["unreadable"]


def test_a_document_written_by_hand_needs_no_more_than_its_records() -> None:
    reading = read('{"services": {"a": {}}, "default": {"samplingStrategy": {"type": "const", "param": 1}}}')
    assert reading.errors == []
    assert reading.records == {
        Key("service", "a"): b"{}",
        DEFAULT: b'{"servicePattern":"*","samplingStrategy":{"type":"probabilistic","param":1.0}}',
    }
    assert read("{}").records == {}


def test_an_owner_manages_every_record_whatever_the_document_says() -> None:
    document = {
        "services": {"a": {"managedBy": "x"}, "b": {}, "c": {}},
        "policies": {"p": {"servicePattern": "*", "managedBy": "x"}},
        "default": {"enabled": False},
    }
    reading = read(json.dumps(document), "me")
    assert len(reading.records) == 5
    assert all(json.loads(body)["managedBy"] == "me" for body in reading.records.values())
    assert [json.loads(body).get("managedBy") for body in read(json.dumps(document)).records.values()] == [
        "x",
        None,
        None,
        "x",
        None,
    ]


HALF = {"type": "probabilistic", "param": 0.5}


@pytest.mark.parametrize(
    ("document", "path", "message"),
    [
        ({"format": "tracing-config/2"}, "format", "must be 'tracing-config/1'"),
        ({"revision": 1.5}, "revision", "whole number"),
        ({"revision": "1"}, "revision", "whole number"),
        ({"commitId": None}, "commitId", "string"),
        ({"servces": {}}, "servces", "is not known"),
        ({"strategies": {}}, "strategies", "import what stands under this key"),
        ({"services": []}, "services", "must be an object"),
        ({"policies": None}, "policies", "must be an object"),
        ({"boosts": 1}, "boosts", "must be an object"),
        ({"services": {"a": 1}}, 'services["a"]', "Expected `object`, got `int`"),
        ({"services": {"a": {"x": 1}}}, 'services["a"]', "unknown field `x`"),
        ({"services": {"a": {"samplingStrategy": {**HALF, "param": 2}}}}, 'services["a"]', "param: a probability is between"),
        ({"services": {"a": {"samplingStrategy": {**HALF, "param": 1e400}}}}, 'services["a"]', "out of range"),
        ({"services": {"": {}}}, 'services[""]', "must not be empty"),
        ({"services": {"a\nb": {}}}, 'services["a\\nb"]', "control characters"),
        ({"services": {"\ud800": {}}}, 'services["?"]', "valid Unicode"),
        ({"services": {"a": {"description": "\ud800"}}}, 'services["a"]', "surrogate"),
        ({"services": {"x" * 1025: {}}}, f'services["{"x" * 97}..."]', "1025 bytes"),
        ({"services": {"a": {"managedBy": ""}}}, 'services["a"]', "managedBy: must not be empty"),
        ({"services": {"a": {"managedBy": "a\0"}}}, 'services["a"]', "managedBy: must not contain"),
        ({"policies": {"p": {}}}, 'policies["p"]', "missing required field `servicePattern`"),
        ({"policies": {"p": {"servicePattern": "*", "priority": 1.5}}}, 'policies["p"]', "Expected `int`, got `float`"),
        ({"policies": {"default": {"servicePattern": "*"}}}, 'policies["default"]', "at the top of the document"),
        ({"boosts": {"a": {"endsAt": "2026-01-01T00:00:00Z"}}}, 'boosts["a"]', "a boost replaces the whole answer"),
        ({"default": {"servicePattern": "a*"}}, "default", "servicePattern: must be `*`"),
        ({"default": {"priority": 3}}, "default", "priority: remove it"),
        ({"default": {"startsAt": "2026-01-01T00:00:00Z"}}, "default", "startsAt: remove it"),
        ({"default": []}, "default", "Expected `object`, got `array`"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_its_place(document: Any, path: str, message: str) -> None:
    text = json.dumps(document).replace("Infinity", "1e400")
    ((found_path, found_message),) = errors(text)
    assert found_path == path
    assert message in found_message


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ('{"services": {}, "services": {}}', "services", "is given twice in the document"),
        ('{"services": {"a": {}, "b": {}, "a": {}}}', 'services["a"]', "is given twice, as entries 1 and 3 of services"),
        ('{"services": {"a": {"enabled": true, "enabled": false}}}', 'services["a"]', "enabled: is given twice"),
        (
            '{"services": {"a": {"samplingStrategy": {"type": "const", "param": 1, "param": 0}}}}',
            'services["a"]',
            "samplingStrategy.param: is given twice",
        ),
        (
            '{"services": {"a": {"operationStrategies": [{"operation": "x", "param": 1, "param": 0}]}}}',
            'services["a"]',
            "operationStrategies[0].param: is given twice",
        ),
        ('{"default": {"enabled": false, "enabled": false}}', "default", "enabled: is given twice"),
        ('{"services": {"a": {"x": ' + "[{" * 0 + '{"x":' * 50 + "1" + "}" * 50 + "}}}", 'services["a"]', "nested too deeply"),
    ],
)
def test_a_key_that_is_given_twice_is_refused(text: str, path: str, message: str) -> None:
    ((found_path, found_message),) = errors(text)
    assert found_path == path
    assert message in found_message


def test_every_bad_entry_is_named_up_to_a_hundred() -> None:
    some = errors({"services": {"a": {"x": 1}, "b": {}, "c": 1}, "policies": {"p": {}}, "default": 1})
    assert [path for path, _ in some] == ['services["a"]', 'services["c"]', 'policies["p"]', "default"]
    many = reading_of(json.dumps({"services": {str(number): 1 for number in range(5 * MAX_ERRORS)}}))
    assert steps(many.in_slices()) <= MAX_ERRORS + 1
    assert len(many.errors) == MAX_ERRORS


def test_a_record_with_a_text_that_was_seen_before_is_checked_by_its_name_all_the_same() -> None:
    assert [path for path, _ in errors({"services": {"a": {}, "": {}, "b": {}}})] == ['services[""]']


def test_reading_can_be_interrupted_at_every_entry() -> None:
    text = json.dumps({"services": {str(number): {} for number in range(500)}})
    assert steps(outline_in_slices(JsonCursor(text))) >= 500
    reading = reading_of(text)
    work = reading.in_slices()
    seen = [reading.done for _ in work]
    assert len(seen) >= 500
    assert seen[:3] == [1, 2, 3]
    catalog = catalog_of(reading.records)
    assert steps(names_in_slices(catalog)) >= 5
    assert len(list(pieces(catalog, at_once(names_in_slices(catalog)), PROVENANCE))) >= 5


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}", "tracing-config"),
        ('{"x": 1}', "tracing-config"),
        ('{"default": null}', "tracing-config"),
        ('{"default_strategy": null}', "jaeger"),
        ('{"SERVICE_STRATEGIES": []}', "jaeger"),
        ('{"comment": "x", "service_strategies": []}', "jaeger"),
        ('{"revision": 1, "service_strategies": []}', "jaeger"),
    ],
)
def test_the_format_is_told_by_the_keys_at_the_top(text: str, found: str) -> None:
    assert at_once(outline_in_slices(JsonCursor(text))).format == found


@pytest.mark.parametrize("ours", ["services", "policies", "boosts", "default", "format"])
@pytest.mark.parametrize("jaegers", ["service_strategies", "Default_Strategy"])
def test_keys_of_both_formats_are_refused(ours: str, jaegers: str) -> None:
    outline = at_once(outline_in_slices(JsonCursor(json.dumps({jaegers: None, ours: {}}))))
    with pytest.raises(DocumentError, match=f"^{ours}: .*{jaegers}"):
        _ = outline.format


@pytest.mark.parametrize("text", ["", "[]", "null", "1", '"x"', '{"services": {"a": {}}', '{"services": {"a": {},}}', "{} {}"])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(JsonError, match=r"^line 1, column \d+: "):
        at_once(outline_in_slices(JsonCursor(text)))


def test_more_entries_than_can_be_held_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sampling.configuration_document_outline.MAX_ENTRIES", 10)
    parts: dict[str, Any] = {
        "services": {str(number): {} for number in range(6)},
        "policies": {str(number): {} for number in range(5)},
    }
    with pytest.raises(DocumentError, match=r"^policies: has more than 10 entries"):
        at_once(outline_in_slices(JsonCursor(json.dumps(parts))))


@pytest.mark.parametrize("key", ["services", "service_strategies", "default", "x"])
def test_a_value_that_would_take_long_to_parse_is_refused(key: str) -> None:
    long = "[" + "1," * (MAX_VALUE_CHARACTERS // 2) + "1]"
    value = {"services": '{"a":%s}', "service_strategies": "[%s]"}.get(key, "%s") % long
    with pytest.raises(JsonError, match=f"more than {MAX_VALUE_CHARACTERS} characters"):
        at_once(outline_in_slices(JsonCursor(f'{{"{key}":{value}, "y": 1}}')))


values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(values, values, st.integers(4060, 4110))
@example("", 12345, 4096)
def test_a_bounded_value_is_the_same_wherever_the_window_ends(first: Any, second: Any, padding: int) -> None:
    text = (
        "[" + json.dumps(first) + "," + " " * padding + json.dumps([second, 12345, "x" * 50, True]) + "," + " " * 70_000 + "0]"
    )
    plain, bounded = JsonCursor(text), JsonCursor(text)
    assert [plain.value() for _ in plain.elements()] == [bounded.bounded_value(2**20) for _ in bounded.elements()]
    bounded.finish()


def test_a_number_that_a_window_cuts_is_taken_whole() -> None:
    cursor = JsonCursor(f"[0.{'1' * 9000}, 2, {'3' * 9000}]" + " " * 9000)
    taken = [cursor.bounded_value(2**20) for _ in cursor.elements()]
    assert taken == [pytest.approx(1 / 9), 2.0, float("inf")]
    cursor.finish()


@given(st.integers(0, 300), st.sampled_from(["!", "nul", "-", '"\\x"', '{"a" 1}', "01", "NaN", "[" * 20_000]))
def test_a_bounded_value_that_is_no_json_is_refused_as_a_value_is(padding: int, bad: str) -> None:
    text = "[" + " " * padding + bad + "," + "0," * 50_000 + "0]"
    assert refusal(text, JsonCursor.value) == refusal(text, lambda cursor: cursor.bounded_value(2**20))


def refusal(text: str, take: Callable[[JsonCursor], Any]) -> str:
    cursor = JsonCursor(text)
    try:
        for _ in cursor.elements():
            take(cursor)
    except JsonError as refused:
        return str(refused)
    raise AssertionError("was taken")


@given(st.lists(st.text(max_size=3), max_size=700))
@settings(max_examples=30)
def test_names_are_sorted_as_ever(some: list[str]) -> None:
    assert at_once(sorted_in_slices(some)) == sorted(some)

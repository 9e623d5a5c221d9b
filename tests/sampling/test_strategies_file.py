"""A strategies file in and out. Expected answers were seen in Jaeger v2.20 (``strategies/*.seen.json``), not derived."""

import hashlib
import json
from collections.abc import Generator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.catalog import Catalog
from sampling.encode import encode_json, encode_protobuf
from sampling.records import Rules
from sampling.strategies_file import MAX_WARNINGS, NO_FILE, StrategiesFile, StrategiesFileError
from sampling.strategies_file_reader import read, read_in_slices
from sampling.strategies_file_writer import write
from sampling.strategy import OperationStrategy, SamplingStrategy
from tests.sampling.generate import operation_lists, probabilities, rate_limiting

FOLDER = Path(__file__).parent / "strategies"
DOCUMENTS = sorted(path.stem for path in FOLDER.glob("*.json") if not path.name.endswith(".seen.json"))

HEALTH_AT_ZERO = '{"operation":"/health","probabilisticSampling":{"samplingRate":0}}'


def limited(limit: int) -> str:
    return f'{{"strategyType":"RATE_LIMITING","rateLimitingSampling":{{"maxTracesPerSecond":{limit}}}}}'


def probabilistic(rate: str, operations: str) -> str:
    return (
        f'{{"strategyType":"PROBABILISTIC","probabilisticSampling":{{"samplingRate":{rate}}},"operationSampling":'
        f'{{"defaultSamplingProbability":{rate},"defaultLowerBoundTracesPerSecond":0,'
        f'"perOperationStrategies":[{operations}],"defaultUpperBoundTracesPerSecond":0}}}}'
    )


# Where our answer is not Jaeger's: its own would break clients.
OURS: dict[tuple[str, str], tuple[str, str]] = {
    ("everyday", "ledger"): (limited(5), "08011a020805"),
    ("repeated_keys", "second"): (limited(7), "08011a020807"),
    ("three_exceptions", "limit-beside-operations"): (limited(2), "08011a020802"),
    ("three_exceptions", "operation-without-name"): (
        probabilistic("0.5", '{"operation":"named","probabilisticSampling":{"samplingRate":0.5}},' + HEALTH_AT_ZERO),
        "120909000000000000e03f222a09000000000000e03f1a120a056e616d6564120909000000000000e03f1a0b0a072f6865616c74681200",
    ),
    ("three_exceptions", "above-one"): (
        probabilistic("1", HEALTH_AT_ZERO),
        "120909000000000000f03f221609000000000000f03f1a0b0a072f6865616c74681200",
    ),
    ("three_exceptions", "below-zero"): (probabilistic("0", HEALTH_AT_ZERO), "1200220d1a0b0a072f6865616c74681200"),
    ("three_exceptions", "negative-zero"): (probabilistic("0", HEALTH_AT_ZERO), "1200220d1a0b0a072f6865616c74681200"),
    ("three_exceptions", "negative-limit"): (limited(0), "08011a00"),
    ("three_exceptions", "too-large-limit"): (limited(2147483647), "08011a0608ffffffff07"),
    ("three_exceptions", "far-too-large-limit"): (limited(2147483647), "08011a0608ffffffff07"),
    ("three_exceptions", "operation-above-one"): (
        probabilistic("0.5", '{"operation":"op","probabilisticSampling":{"samplingRate":1}},' + HEALTH_AT_ZERO),
        "120909000000000000e03f222709000000000000e03f1a0f0a026f70120909000000000000f03f1a0b0a072f6865616c74681200",
    ),
    ("three_exceptions", "anybody else"): (limited(3), "08011a020803"),
}


def answer(file: StrategiesFile, name: str) -> tuple[str, str]:
    effective = Catalog(file).resolve(name)
    return encode_json(effective).decode(), encode_protobuf(effective).hex()


def expected_answers() -> list[tuple[str, str, str, str]]:
    found = []
    for document in DOCUMENTS:
        for name, seen in json.loads((FOLDER / f"{document}.seen.json").read_bytes()).items():
            found.append((document, name, *OURS.get((document, name), (seen["json"], seen["protobuf"]))))
    return found


def warnings_of(data: bytes) -> list[str]:
    return [str(warning) for warning in read(data).warnings]


def service(text: str) -> bytes:
    return b'{"service_strategies":[%s]}' % text.encode()


@pytest.mark.parametrize(("document", "name", "expected_json", "expected_protobuf"), expected_answers())
def test_answers_are_those_of_jaeger_byte_for_byte_but_for_the_three_exceptions(
    document: str, name: str, expected_json: str, expected_protobuf: str
) -> None:
    file = read((FOLDER / f"{document}.json").read_bytes())
    assert answer(file, name) == (expected_json, expected_protobuf)


def test_the_services_of_a_file_are_those_that_jaeger_knows() -> None:
    for document in DOCUMENTS:
        seen = json.loads((FOLDER / f"{document}.seen.json").read_bytes())
        services = read((FOLDER / f"{document}.json").read_bytes()).services
        assert set(seen) - set(services) <= {"anybody else", "gone", "gone-too"}
        assert set(services) <= set(seen)


def test_every_spot_that_is_cut_dropped_or_guessed_is_a_warning_with_its_path() -> None:
    assert warnings_of((FOLDER / "odd_but_served.json").read_bytes()) == [
        "document: the key 'comment' is unknown and is ignored",
        "default_strategy.service: is ignored: the default has no name",
        "default_strategy.param: 3.9 is not a whole number of traces per second; 3 is served",
        "service_strategies[1]: the key '\ufb05ervice' is unknown and is ignored",
        (
            "service_strategies[2].type: 'const' is neither 'probabilistic' nor 'ratelimiting'; "
            "a probability of 0.001 is served, as in Jaeger"
        ),
        "service_strategies[3].type: is missing; a probability of 0.001 is served, as in Jaeger",
        "service_strategies[3].operation_strategies[0].type: is missing; a probability of 0.001 is served, as in Jaeger",
        "service_strategies[4].param: is missing and counts as 0",
        "service_strategies[6].param: 0.9 is not a whole number of traces per second; 0 is served",
        "service_strategies[10].service: 'twice' is listed twice; the last entry stands",
        "service_strategies[11].service: is missing; the entry answers clients that give no name",
        (
            "service_strategies[14].operation_strategies[0]: is dropped, as in Jaeger: "
            "the protocol has no rate limit for one operation"
        ),
        (
            "service_strategies[15].operation_strategies[1]: is dropped, as in Jaeger: "
            "the protocol has no rate limit for one operation"
        ),
        (
            "service_strategies[15].operation_strategies[2].operation: 'op' is listed twice; "
            "both are sent, as by Jaeger, and clients differ in which they take"
        ),
        "service_strategies[16]: the key 'x' is unknown and is ignored",
        "service_strategies[16]: the key 'operation' is unknown and is ignored",
    ]


def test_every_exception_to_jaegers_answers_is_a_warning() -> None:
    assert warnings_of((FOLDER / "three_exceptions.json").read_bytes()) == [
        (
            "default_strategy.operation_strategies[1]: is dropped: "
            "it has no name, and some clients lose every operation after such a one"
        ),
        (
            "default_strategy.operation_strategies: are sent to services with a probability only: "
            "clients would drop the default's own rate limit"
        ),
        (
            "default_strategy.operation_strategies: are not sent to services with a rate limit (4 here): "
            "clients would drop the limit"
        ),
        "service_strategies[0].operation_strategies: are dropped: clients would drop the rate limit beside them",
        (
            "service_strategies[1].operation_strategies[0]: is dropped: "
            "it has no name, and some clients lose every operation after such a one"
        ),
        (
            "service_strategies[1].operation_strategies[1]: is dropped: "
            "it has no name, and some clients lose every operation after such a one"
        ),
        "service_strategies[2].param: 1.5 is not a probability; 1 is served",
        "service_strategies[3].param: -1 is not a probability; 0 is served",
        "service_strategies[5].param: -5 is not a whole number of traces per second; 0 is served",
        "service_strategies[6].param: 2147483648 is not a whole number of traces per second; 2147483647 is served",
        "service_strategies[7].param: 1e+300 is not a whole number of traces per second; 2147483647 is served",
        "service_strategies[8].operation_strategies[0].param: 100 is not a probability; 1 is served",
    ]


def test_a_key_given_twice_is_a_warning() -> None:
    warnings = warnings_of((FOLDER / "repeated_keys.json").read_bytes())
    assert "default_strategy: is given twice; the later one is laid over the earlier one, as in Jaeger" in warnings
    assert "default_strategy.param: is given twice; the later value stands, as in Jaeger" in warnings
    assert "service_strategies: is given twice; the later list is laid over the earlier one, as in Jaeger" in warnings
    assert (
        "service_strategies[1].operation_strategies: is given twice; the later list is laid over the earlier one, as in Jaeger"
    ) in warnings


def test_an_ordinary_file_has_no_warnings() -> None:
    assert warnings_of(b'{"service_strategies":[{"service":"a","type":"ratelimiting","param":5.0}]}') == []


def test_messages_stay_short_and_of_one_line_whatever_the_file_holds() -> None:
    long = json.dumps({"service_strategies": [{"type": "x\n" * 10_000, "y\n" * 10_000: 1}]}).encode()
    assert all(len(line) < 300 and "\n" not in line for line in warnings_of(long))


def test_the_first_thousand_warnings_are_kept_and_all_are_counted() -> None:
    file = read(service(",".join(f'{{"service":"{index}","param":1}}' for index in range(MAX_WARNINGS + 500))))
    assert len(file.warnings) == MAX_WARNINGS
    assert file.warning_count == MAX_WARNINGS + 500
    assert file.warnings[-1].path == f"service_strategies[{MAX_WARNINGS - 1}].type"


def test_the_digest_is_that_of_the_bytes() -> None:
    data = b'{"x": "' + b"y" * 200_000 + b'"}'
    assert read(data).sha256 == hashlib.sha256(data).hexdigest()


def test_services_with_equal_rules_share_one_object() -> None:
    entry = '{"service":"%s","type":"probabilistic","param":%s%s}'
    operations = ',"operation_strategies":[{"operation":"a","type":"probabilistic","param":1}]'
    file = read(
        service(
            ",".join(
                [
                    entry % ("a", "0.5", ""),
                    entry % ("b", "0.50", ""),
                    entry % ("c", "5e-1", ',"operation_strategies":[]'),
                    entry % ("d", "0.5", operations),
                    entry % ("e", "0.5", operations),
                ]
            )
        )
    )
    assert file.services["a"] == b'{"samplingStrategy":{"type":"probabilistic","param":0.5}}'
    assert file.services["a"] is file.services["b"] is file.services["c"]
    assert file.services["d"] is file.services["e"] is not file.services["a"]


def steps(work: Generator[None, None, StrategiesFile]) -> int:
    count = 0
    while True:
        try:
            next(work)
        except StopIteration:
            return count
        count += 1


def test_reading_can_be_interrupted_at_every_service_and_within_long_lists_of_operations() -> None:
    services = service(",".join(f'{{"service":"{index}"}}' for index in range(500)))
    operations = service('{"operation_strategies":[' + ",".join(f'{{"operation":"{index}"}}' for index in range(3200)) + "]}")
    assert steps(read_in_slices(services)) >= 500
    assert steps(read_in_slices(services[:-1] + b"," + services[1:])) >= 2000
    assert steps(read_in_slices(operations)) >= 200
    assert steps(read_in_slices(b'{"default_strategy":' + operations[len('{"service_strategies":[') : -2] + b"}")) >= 200
    assert steps(read_in_slices(b'{"x":"' + b"y" * 10_000_000 + b'"}')) >= 100


service_rules = st.builds(
    Rules,
    sampling_strategy=st.builds(SamplingStrategy, type=st.just("probabilistic"), param=probabilities),
    operation_strategies=st.none() | operation_lists(unique=False),
) | st.builds(Rules, sampling_strategy=rate_limiting)
default_rules = service_rules | st.builds(
    Rules, sampling_strategy=rate_limiting, operation_strategies=st.none() | operation_lists(unique=False)
)


encode = msgspec.json.encode


@given(services=st.dictionaries(st.text(max_size=6), service_rules, max_size=5), default=st.none() | default_rules)
@settings(max_examples=150)
def test_a_file_written_out_and_read_back_says_the_same(services: dict[str, Rules], default: Rules | None) -> None:
    document = write(
        StrategiesFile({name: encode(rules) for name, rules in services.items()}, default, sha256="of another file")
    )
    file = read(document)
    assert file.services == {name: encode(rules) for name, rules in services.items()}
    assert file.default == default


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_document_written_out_and_read_back_gives_the_same_answers(document: str) -> None:
    file = read((FOLDER / f"{document}.json").read_bytes())
    again = read(write(file))
    for name in [*file.services, "anybody else"]:
        assert answer(again, name) == answer(file, name)
    assert again.services == file.services


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (Rules(None, (OperationStrategy("a", 1.0),)), "service 'a b': Jaeger's format has no entry without a strategy"),
        (
            Rules(SamplingStrategy("probabilistic", 0.5, 2.0)),
            "service 'a b': Jaeger's format has no lower bound of traces per second",
        ),
    ],
)
def test_what_the_format_cannot_say_is_not_written(rules: Rules, reason: str) -> None:
    with pytest.raises(ValueError, match="^" + reason):
        write(StrategiesFile({"a b": encode(rules)}, None, ""))


def test_a_list_whose_operations_were_all_dropped_is_written_so_that_jaeger_drops_them_too() -> None:
    file = read((FOLDER / "default_operations_all_dropped.json").read_bytes())
    assert json.loads(write(file))["default_strategy"] == {
        "type": "probabilistic",
        "param": 0.5,
        "operation_strategies": [{"operation": "", "type": "ratelimiting", "param": 0}],
    }


def test_no_file_is_written_as_one_that_configures_nothing() -> None:
    assert json.loads(write(NO_FILE)) == {"service_strategies": []}


keys = st.sampled_from(
    ["default_strategy", "service_strategies", "service", "type", "param", "operation_strategies", "operation", "TYPE", "x"]
)
scalars = (
    st.none()
    | st.booleans()
    | st.sampled_from(["probabilistic", "ratelimiting", "a", ""])
    | st.text(max_size=3)
    | st.floats()
    | st.integers(-(2**70), 2**70)
)
operation_objects = st.dictionaries(keys, scalars, max_size=4)
service_objects = st.dictionaries(keys, scalars | st.lists(operation_objects, max_size=3), max_size=6)
objects = st.fixed_dictionaries(
    {},
    optional={
        "default_strategy": scalars | service_objects,
        "service_strategies": st.lists(service_objects | scalars, max_size=4),
        "x": scalars,
    },
)
documents = objects.map(lambda document: json.dumps(document).encode("utf-8", "surrogatepass"))


@given(data=documents | st.binary(max_size=20))
@settings(max_examples=400)
def test_any_bytes_are_served_or_refused_in_one_line(data: bytes) -> None:
    try:
        file = read(data)
    except StrategiesFileError as refused:
        reason = str(refused)
    else:
        reason = ""
        again = read(write(file))
        assert (again.services, again.default) == (file.services, file.default)
        for name in [*file.services, "anybody else"]:
            answer(file, name)
    assert "\n" not in reason

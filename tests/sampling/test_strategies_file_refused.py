"""Which strategies files are served, and which are refused: as seen in Jaeger v2.20."""

import pytest

from sampling.catalog import Catalog
from sampling.encode import encode_json
from sampling.records import Rules
from sampling.strategies_file import StrategiesFileError
from sampling.strategies_file_reader import read
from sampling.strategy import OperationStrategy, SamplingStrategy


def service(text: str) -> bytes:
    return b'{"service_strategies":[%s]}' % text.encode()


def refusal(data: bytes) -> str:
    with pytest.raises(StrategiesFileError) as caught:
        read(data)
    return str(caught.value)


# Seen: Jaeger v2.20. The names are those that it answered with the entry's strategy.
@pytest.mark.parametrize(
    ("written", "name"),
    [
        (b"a\xe2\x82b", "a\ufffd\ufffdb"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\xc0\x80", "\ufffd\ufffd"),
        (b"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"),
        (b"\\ud83d", "\ufffd"),
        (b"\\ude00\\ud83d", "\ufffd\ufffd"),
        (b"\\ud83d\\ud83d\\ude00", "\ufffd\U0001f600"),
        (b"\\ud83dx\\u0041", "\ufffdxA"),
    ],
)
def test_what_is_not_unicode_becomes_u_fffd_as_in_jaeger(written: bytes, name: str) -> None:
    file = read(b'{"service_strategies":[{"service":"%s","type":"probabilistic","param":0.5}]}' % written)
    assert list(file.services) == [name]
    assert [warning.path for warning in file.warnings] == ["service_strategies[0].service"]


def test_names_of_operations_become_unicode_too() -> None:
    operation = rb'{"operation":"a\ud83d","type":"probabilistic","param":1}'
    file = read(b'{"default_strategy":{"type":"probabilistic","param":0.5,"operation_strategies":[%s]}}' % operation)
    assert file.default == Rules(SamplingStrategy("probabilistic", 0.5), (OperationStrategy("a\ufffd", 1),))
    assert [warning.path for warning in file.warnings] == ["default_strategy.operation_strategies[0].operation"]


# Seen: Jaeger v2.20 serves each of them, and answers probabilistic 0.001.
@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b" null\n",
        b'{"default_strategy":null,"service_strategies":null}',
        b'{"service_strategies":[]}',
        b'{"default_strategy":{"type":"probabilistic","param":0.5},"default_strategy":null}',
        b'{"service_strategies":[null],"service_strategies":[]}',
        b'{"service_strategies":[{"service":"a","type":"probabilistic","param":1}],"service_strategies":null}',
        b'{"service_strategies":[null],"service_strategies":[{"service":"a"}]}',
        (
            b'{"service_strategies":[{"type":"probabilistic","param":1}],"service_strategies":null,'
            b'"service_strategies":[{"service":"a"}]}'
        ),
        (
            b'{"service_strategies":[{"type":"probabilistic","param":1}],"service_strategies":[],'
            b'"service_strategies":[{"service":"a"}]}'
        ),
        b'{"x":1e400,"y":-0.0e-5}',
        b'{"service_strategies":[{"service":"b","type":"probabilistic","param":null,"type":"\\u0000"}]}',
    ],
)
def test_what_jaeger_serves_is_served(data: bytes) -> None:
    answer = encode_json(Catalog(read(data)).resolve("a"))
    assert answer == b'{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.001}}'


# Seen: Jaeger v2.20 refuses each of them at its start.
@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"\xef\xbb\xbf{}", "line 1, column 1: a byte order mark"),
        (b"{} x", "line 1, column 4: text after"),
        (b"{}{}", "line 1, column 3: text after"),
        (b'// c\n{"a":1}', "line 1, column 1: JSON has no comments"),
        (b'{"a":1\n /* c */}', "line 2, column 2: JSON has no comments"),
        (b'{"default_strategy":{"type": // c\n"a"}}', "line 1, column 30: JSON has no comments"),
        (b"{'a':1}", "line 1, column 2: expecting a key in double quotes"),
        (b'{"a" 1}', "line 1, column 6: expecting ':'"),
        (b'{"a":1', "line 1, column 7: expecting '}'"),
        (b'{"a":1,}', "line 1, column 8: expecting a key in double quotes"),
        (b'{\n"service_strategies":[{},]}', "line 2, column 26: expecting value"),
        (b'{"service_strategies":[{}', "line 1, column 26: expecting ']'"),
        (b'{"a":01}', "line 1, column 7: "),
        (b'{"a":1.}', "line 1, column 7: "),
        (b'{"a":+1}', "line 1, column 6: expecting value"),
        (b'{"a":NaN}', "line 1, column 6: NaN is not JSON"),
        (b'{"a":-Infinity}', "line 1, column 6: -Infinity is not JSON"),
        (b'{"a":"\\x"}', "line 1, column 7: invalid \\escape"),
        (b'{"a":"\t"}', "line 1, column 7: invalid control character"),
        (b'{"a":"b}', "line 1, column 6: unterminated string"),
        (b"[]", "document: must be an object, not a list"),
        (b'"a"', "document: must be an object, not a string"),
        (b"5", "document: must be an object, not a number"),
        (b"true", "document: must be an object, not true or false"),
        (b'{"service_strategies":{}}', "service_strategies: must be a list, not an object"),
        (b'{"service_strategies":""}', "service_strategies: must be a list, not a string"),
        (b'{"default_strategy":[]}', "default_strategy: must be an object, not a list"),
        (b'{"default_strategy":{"type":5}}', "default_strategy.type: must be a string, not a number"),
        (service("{}, []"), "service_strategies[1]: must be an object, not a list"),
        (service('{"service":5}'), "service_strategies[0].service: must be a string, not a number"),
        (service('{"param":"0.5"}'), "service_strategies[0].param: must be a number, not a string"),
        (service('{"param":true}'), "service_strategies[0].param: must be a number, not true or false"),
        (service('{"param":1e400}'), "service_strategies[0].param: is too large a number"),
        (service('{"param":-1e400}'), "service_strategies[0].param: is too large a number"),
        (
            service('{"operation_strategies":{}}'),
            "service_strategies[0].operation_strategies: must be a list, not an object",
        ),
        (
            service('{"type":"ratelimiting","operation_strategies":[{},5]}'),
            "service_strategies[0].operation_strategies[1]: must be an object, not a number",
        ),
        (
            service('{"operation_strategies":[{"operation":["a"]}]}'),
            "service_strategies[0].operation_strategies[0].operation: must be a string, not a list",
        ),
    ],
)
def test_what_jaeger_refuses_is_refused_in_one_line_that_names_the_place(data: bytes, place: str) -> None:
    reason = refusal(data)
    assert reason.startswith(place)
    assert "\n" not in reason


# Seen: Jaeger v2.20 crashes on each of them.
@pytest.mark.parametrize(
    ("data", "place"),
    [
        (service("null"), "service_strategies[0]: must be an object, not null"),
        (
            service('{"service":"a","operation_strategies":[{"operation":"b"},null]}'),
            "service_strategies[0].operation_strategies[1]: must be an object, not null",
        ),
        (
            service('{"service":"a","type":"ratelimiting","operation_strategies":[null]}'),
            "service_strategies[0].operation_strategies[0]: must be an object, not null",
        ),
        (
            b'{"default_strategy":{"operation_strategies":[null]}}',
            "default_strategy.operation_strategies[0]: must be an object, not null",
        ),
    ],
)
def test_what_jaeger_crashes_on_is_refused(data: bytes, place: str) -> None:
    assert refusal(data).startswith(place)


def test_nesting_beyond_what_python_can_follow_is_refused_and_breaks_nothing() -> None:
    assert refusal(b'{"x":' + b"[" * 100_000) == "line 1, column 6: is nested too deeply"

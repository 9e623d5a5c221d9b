"""The bytes that clients read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.encode import encode_json, encode_protobuf, json_number, json_string
from sampling.pb.jaeger.api_v2.sampling_pb2 import SamplingStrategyResponse, SamplingStrategyType
from sampling.strategy import EffectiveStrategy, OperationStrategy, SamplingStrategy
from tests.sampling.generate import operation_lists, probabilistic, rate_limiting

effective_strategies = st.builds(EffectiveStrategy, rate_limiting) | st.builds(
    EffectiveStrategy, probabilistic, st.none() | operation_lists(unique=False)
)
"""Every answer that can be: a rate limit comes alone."""

HALF = SamplingStrategy("probabilistic", 0.5)


@pytest.mark.parametrize(
    ("effective", "protobuf", "text"),
    [
        (
            EffectiveStrategy(HALF),
            "120909000000000000e03f",
            '{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.5}}',
        ),
        (
            EffectiveStrategy(SamplingStrategy("probabilistic", 0)),
            "1200",
            '{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0}}',
        ),
        (
            EffectiveStrategy(SamplingStrategy("ratelimiting", 42)),
            "08011a02082a",
            '{"strategyType":"RATE_LIMITING","rateLimitingSampling":{"maxTracesPerSecond":42}}',
        ),
        (
            EffectiveStrategy(SamplingStrategy("ratelimiting", 0)),
            "08011a00",
            '{"strategyType":"RATE_LIMITING","rateLimitingSampling":{"maxTracesPerSecond":0}}',
        ),
        (
            EffectiveStrategy(HALF, (OperationStrategy("op0", 0.2), OperationStrategy("op6", 0), OperationStrategy("op7", 1))),
            (
                "120909000000000000e03f223609000000000000e03f1a100a036f70301209099a9999999999c93f"
                "1a070a036f703612001a100a036f7037120909000000000000f03f"
            ),
            (
                '{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.5},"operationSampling":'
                '{"defaultSamplingProbability":0.5,"defaultLowerBoundTracesPerSecond":0,"perOperationStrategies":['
                '{"operation":"op0","probabilisticSampling":{"samplingRate":0.2}},'
                '{"operation":"op6","probabilisticSampling":{"samplingRate":0}},'
                '{"operation":"op7","probabilisticSampling":{"samplingRate":1}}],"defaultUpperBoundTracesPerSecond":0}}'
            ),
        ),
        (
            EffectiveStrategy(HALF, ()),
            "120909000000000000e03f220909000000000000e03f",
            (
                '{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.5},"operationSampling":'
                '{"defaultSamplingProbability":0.5,"defaultLowerBoundTracesPerSecond":0,"perOperationStrategies":[],'
                '"defaultUpperBoundTracesPerSecond":0}}'
            ),
        ),
        (
            EffectiveStrategy(SamplingStrategy("probabilistic", 0, 2.5), ()),
            "12002209110000000000000440",
            (
                '{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0},"operationSampling":'
                '{"defaultSamplingProbability":0,"defaultLowerBoundTracesPerSecond":2.5,"perOperationStrategies":[],'
                '"defaultUpperBoundTracesPerSecond":0}}'
            ),
        ),
    ],
)
def test_an_answer_has_the_bytes_of_jaeger(effective: EffectiveStrategy, protobuf: str, text: str) -> None:
    assert encode_protobuf(effective).hex() == protobuf
    assert encode_json(effective).decode() == text


@given(effective_strategies)
def test_protobuf_is_what_the_generated_messages_write(effective: EffectiveStrategy) -> None:
    strategy = effective.strategy
    expected = SamplingStrategyResponse()
    if strategy.type == "ratelimiting":
        expected.strategyType = SamplingStrategyType.RATE_LIMITING
        expected.rateLimitingSampling.maxTracesPerSecond = int(strategy.param)
        expected.rateLimitingSampling.SetInParent()
    else:
        expected.probabilisticSampling.samplingRate = strategy.param
        expected.probabilisticSampling.SetInParent()
        if effective.operations is not None:
            sampling = expected.operationSampling
            sampling.SetInParent()
            sampling.defaultSamplingProbability = strategy.param
            sampling.defaultLowerBoundTracesPerSecond = strategy.lower_bound_traces_per_second
            for operation in effective.operations:
                added = sampling.perOperationStrategies.add(operation=operation.operation)
                added.probabilisticSampling.samplingRate = operation.param
                added.probabilisticSampling.SetInParent()

    encoded = encode_protobuf(effective)

    assert SamplingStrategyResponse.FromString(encoded) == expected
    assert encoded == expected.SerializeToString(deterministic=True)


@given(effective_strategies)
def test_json_says_the_same_as_protobuf_with_every_key_that_clients_need(effective: EffectiveStrategy) -> None:
    protobuf = SamplingStrategyResponse.FromString(encode_protobuf(effective))
    expected: dict[str, object] = {"strategyType": SamplingStrategyType.Name(protobuf.strategyType)}
    if protobuf.HasField("probabilisticSampling"):
        expected["probabilisticSampling"] = {"samplingRate": protobuf.probabilisticSampling.samplingRate}
    if protobuf.HasField("rateLimitingSampling"):
        expected["rateLimitingSampling"] = {"maxTracesPerSecond": protobuf.rateLimitingSampling.maxTracesPerSecond}
    if protobuf.HasField("operationSampling"):
        sampling = protobuf.operationSampling
        expected["operationSampling"] = {
            "defaultSamplingProbability": sampling.defaultSamplingProbability,
            "defaultLowerBoundTracesPerSecond": sampling.defaultLowerBoundTracesPerSecond,
            "perOperationStrategies": [
                {
                    "operation": one.operation,
                    "probabilisticSampling": {"samplingRate": one.probabilisticSampling.samplingRate},
                }
                for one in sampling.perOperationStrategies
            ],
            "defaultUpperBoundTracesPerSecond": 0,
        }

    found = json.loads(encode_json(effective), parse_int=float)

    assert found == expected
    assert list(found) == list(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (0.1, "0.1"),
        (1 / 3, "0.3333333333333333"),
        (1e-5, "0.00001"),
        (1.5e-5, "0.000015"),
        (1e-6, "0.000001"),
        (9.99e-7, "9.99e-7"),
        (1e-7, "1e-7"),
        (1.25e-10, "1.25e-10"),
        (5e-324, "5e-324"),
        (1e15, "1000000000000000"),
        (1e20, "100000000000000000000"),
        (123456789012345678.0, "123456789012345680"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (1e-100, "1e-100"),
    ],
)
def test_a_number_is_written_as_go_writes_it(value: float, text: str) -> None:
    assert json_number(value) == text


@given(st.floats(0, allow_nan=False, allow_infinity=False, allow_subnormal=True))
def test_a_number_is_read_back_as_itself_and_has_no_exponent_between_a_millionth_and_10_to_the_21st(value: float) -> None:
    text = json_number(value)

    assert json.loads(text, parse_int=float) == value
    assert ("e" in text) == (value != 0 and not 1e-6 <= value < 1e21)
    assert not text.endswith(".0")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("GET /health", '"GET /health"'),
        ("<a & b>", '"\\u003ca \\u0026 b\\u003e"'),
        ("line\u2028paragraph\u2029", '"line\\u2028paragraph\\u2029"'),
        ('quote " and \\', '"quote \\" and \\\\"'),
        ("\t\n\r", '"\\t\\n\\r"'),
        ("\x01\x1f", '"\\u0001\\u001f"'),
        ("\b\f", '"\\b\\f"'),
        ("\x7f", '"\x7f"'),
        ("é 支 🦆", '"é 支 🦆"'),
    ],
)
def test_a_string_is_written_as_go_writes_it(text: str, written: str) -> None:
    assert json_string(text) == written


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_string_is_read_back_as_itself_and_is_safe_in_html(text: str) -> None:
    written = json_string(text)

    assert json.loads(written) == text
    assert not set(written) & set("<>&\u2028\u2029")

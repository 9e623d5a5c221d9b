"""An effective strategy as the bytes that clients read: protobuf and Jaeger's JSON.

Written by hand because it is the miss path of every poll; tests hold it against the generated messages and against bytes
seen from Jaeger v2.20. Rules that keep every known client right: ``probabilisticSampling`` always beside operations, all
four keys of ``operationSampling`` always present, no key that Jaeger does not send.
"""

import json
import struct
from decimal import Decimal

from sampling.strategy import EffectiveStrategy

_double = struct.Struct("<d").pack


def encode_protobuf(effective: EffectiveStrategy) -> bytes:
    """``jaeger.api_v2.SamplingStrategyResponse``, byte for byte as the Go and Python serializers write it."""
    strategy = effective.strategy
    if strategy.type == "ratelimiting":
        limit = b"\x08" + _varint(int(strategy.param)) if strategy.param else b""
        return b"\x08\x01\x1a" + _sized(limit)
    response = b"\x12" + _sized(_double_field(b"\x09", strategy.param))
    if effective.operations is None:
        return response
    operations = [
        _double_field(b"\x09", strategy.param),
        _double_field(b"\x11", strategy.lower_bound_traces_per_second),
    ]
    for operation in effective.operations:
        rate = b"\x12" + _sized(_double_field(b"\x09", operation.param))
        operations.append(b"\x1a" + _sized(b"\x0a" + _sized(operation.operation.encode()) + rate))
    return response + b"\x22" + _sized(b"".join(operations))


def encode_json(effective: EffectiveStrategy) -> bytes:
    """The JSON of Jaeger's ``/sampling`` since v2.16: enum as a string, zeros and ``[]`` written, absent messages left out."""
    strategy = effective.strategy
    if strategy.type == "ratelimiting":
        limit = str(int(strategy.param))
        return f'{{"strategyType":"RATE_LIMITING","rateLimitingSampling":{{"maxTracesPerSecond":{limit}}}}}'.encode()
    rate = json_number(strategy.param)
    response = f'{{"strategyType":"PROBABILISTIC","probabilisticSampling":{{"samplingRate":{rate}}}'
    if effective.operations is not None:
        operations = ",".join(
            f'{{"operation":{json_string(operation.operation)},'
            f'"probabilisticSampling":{{"samplingRate":{json_number(operation.param)}}}}}'
            for operation in effective.operations
        )
        response += (
            f',"operationSampling":{{"defaultSamplingProbability":{rate},'
            f'"defaultLowerBoundTracesPerSecond":{json_number(strategy.lower_bound_traces_per_second)},'
            f'"perOperationStrategies":[{operations}],"defaultUpperBoundTracesPerSecond":0}}'
        )
    return (response + "}").encode()


def json_number(value: float) -> str:
    """A finite number as Go's ``encoding/json`` writes a float64: shortest, exponent only below 1e-6 and from 1e21."""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    text = repr(value)
    if 1e-6 <= abs(value) < 1e21:
        return text if "e" not in text and not text.endswith(".0") else f"{Decimal(text):f}".removesuffix(".0")
    return text.replace("e-0", "e-")


_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def json_string(text: str) -> str:
    """A string as Go's ``encoding/json`` writes it: HTML characters and the JavaScript line ends are escaped."""
    return json.dumps(text, ensure_ascii=False).translate(_HTML)


def _double_field(tag: bytes, value: float) -> bytes:
    return tag + _double(value) if value else b""


def _sized(message: bytes) -> bytes:
    return _varint(len(message)) + message


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)

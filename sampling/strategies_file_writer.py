"""Writing a strategies file that Jaeger reads too."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from sampling.records import Rules
from sampling.strategies_file import StrategiesFile

_AT_ONCE = 10
"""Services in one piece of text."""

_decode = msgspec.json.Decoder(Rules).decode
_encode = msgspec.json.Encoder().encode

_DROPPED_BY_EVERY_READER: dict[str, Any] = {"operation": "", "type": "ratelimiting", "param": 0}


def write(file: StrategiesFile) -> bytes:
    """The document, in UTF-8 and indented, from which every name gets the answers that it gets from ``file``.

    Raises:
        ValueError: naming the entry, for what Jaeger's format cannot say.
    """
    return msgspec.json.format(b"".join(pieces(file)), indent=2) + b"\n"


def pieces(file: StrategiesFile) -> Iterator[bytes]:
    """The same document, a small piece at a time, a service a line; raises as ``write``."""
    yield b"{"
    if file.default is not None:
        yield b'"default_strategy":' + _encode(_entry(file.default, "default")) + b",\n"
    yield b'"service_strategies":['
    rest, separator = iter(file.services.items()), b"\n"
    while some := list(islice(rest, _AT_ONCE)):
        yield separator + b",\n".join(
            _encode({"service": name, **_entry(_decode(body), f"service {name!r}")}) for name, body in some
        )
        separator = b",\n"
    yield b"]}"


def _entry(rules: Rules, place: str) -> dict[str, Any]:
    strategy = rules.sampling_strategy
    if strategy is None:
        raise ValueError(f"{place}: Jaeger's format has no entry without a strategy")
    if strategy.lower_bound_traces_per_second:
        raise ValueError(f"{place}: Jaeger's format has no lower bound of traces per second")
    param = int(strategy.param) if strategy.type == "ratelimiting" else strategy.param
    entry: dict[str, Any] = {"type": strategy.type, "param": param}
    if rules.operation_strategies is not None:
        # An empty list would be read as no list at all, and would not be answered with an empty one.
        entry["operation_strategies"] = [
            {"operation": operation.operation, "type": operation.type, "param": operation.param}
            for operation in rules.operation_strategies
        ] or [_DROPPED_BY_EVERY_READER]
    return entry

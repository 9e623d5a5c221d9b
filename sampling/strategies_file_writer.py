"""Writing a strategies file that Jaeger reads too."""

from typing import Any

import msgspec

from sampling.records import Rules
from sampling.strategies_file import StrategiesFile

_decode = msgspec.json.Decoder(Rules).decode

_DROPPED_BY_EVERY_READER: dict[str, Any] = {"operation": "", "type": "ratelimiting", "param": 0}


def write(file: StrategiesFile) -> bytes:
    """The document, in UTF-8 and indented, from which every name gets the answers that it gets from ``file``.

    Raises:
        ValueError: naming the entry, for what Jaeger's format cannot say.
    """
    document: dict[str, Any] = {}
    if file.default is not None:
        document["default_strategy"] = _entry(file.default, "default")
    document["service_strategies"] = [
        {"service": name, **_entry(_decode(body), f"service {name!r}")} for name, body in file.services.items()
    ]
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


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

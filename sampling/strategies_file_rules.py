"""What is made of an entry of a strategies file: a strategy and operations within their ranges.

This is what Jaeger v2.20 makes of it, except that an operation without a name is dropped (some clients lose all operations
after one) and that a value outside its range is brought to the nearest end (Jaeger sends it as it is).
"""

import re
from collections.abc import Generator

from sampling.strategies_file import StrategiesFileError
from sampling.strategies_file_entry import OperationEntry, ServiceEntry, Warn, shown
from sampling.strategy import FALLBACK, FALLBACK_PROBABILITY, MAX_TRACES_PER_SECOND, OperationStrategy, SamplingStrategy

_SURROGATES = re.compile("[\ud800-\udfff]")


def strategy_of(entry: ServiceEntry, path: str, warn: Warn) -> SamplingStrategy:
    """The strategy of a service or of the default; there always is one."""
    if entry.type == "probabilistic":
        return SamplingStrategy("probabilistic", _probability(_param(entry, path, warn), path, warn))
    if entry.type == "ratelimiting":
        return SamplingStrategy("ratelimiting", _rate_limit(_param(entry, path, warn), path, warn))
    _warn_of_type(entry, path, warn)
    return FALLBACK


def operations_of(entry: ServiceEntry, path: str, warn: Warn) -> Generator[None, None, tuple[OperationStrategy, ...] | None]:
    """The operations that are left: None where the entry has none, empty where all were dropped. Yields after some.

    Raises:
        StrategiesFileError: one of them is null, which Jaeger crashes on.
    """
    if not entry.operations:
        return None
    operations: list[OperationStrategy] = []
    seen: set[str] = set()
    for index, operation in enumerate(entry.operations):
        place = f"{path}.operation_strategies[{index}]"
        if operation is None:
            raise StrategiesFileError(f"{place}: must be an object, not null; Jaeger crashes on it")
        if operation.type == "ratelimiting":
            warn(place, "is dropped, as in Jaeger: the protocol has no rate limit for one operation")
        elif not operation.operation:
            warn(place, "is dropped: it has no name, and some clients lose every operation after such a one")
        else:
            name = text_of(operation.operation, f"{place}.operation", warn)
            if name in seen:
                warn(
                    f"{place}.operation",
                    f"{shown(name)} is listed twice; both are sent, as by Jaeger, and clients differ in which they take",
                )
            seen.add(name)
            operations.append(OperationStrategy(name, _operation_probability(operation, place, warn)))
        if index % 32 == 31:
            yield
    return tuple(operations)


def text_of(text: str, path: str, warn: Warn) -> str:
    """A name as it is answered: halves of surrogate pairs become U+FFFD, as broken UTF-8 already has."""
    if text.isascii():
        return text
    text = _SURROGATES.sub("\ufffd", text)
    if "\ufffd" in text:
        warn(path, f"{shown(text)} has U+FFFD in it, which stands for bytes or escapes that are not valid Unicode")
    return text


def _operation_probability(entry: OperationEntry, path: str, warn: Warn) -> float:
    if entry.type == "probabilistic":
        return _probability(_param(entry, path, warn), path, warn)
    _warn_of_type(entry, path, warn)
    return FALLBACK_PROBABILITY


def _param(entry: ServiceEntry | OperationEntry, path: str, warn: Warn) -> float:
    if entry.param is None:
        warn(f"{path}.param", "is missing and counts as 0")
        return 0.0
    return entry.param


def _probability(param: float, path: str, warn: Warn) -> float:
    if 0 <= param <= 1:
        return param
    nearest = 0.0 if param < 0 else 1.0
    warn(f"{path}.param", f"{shown(param)} is not a probability; {shown(nearest)} is served")
    return nearest


def _rate_limit(param: float, path: str, warn: Warn) -> float:
    limit = min(max(int(param), 0), MAX_TRACES_PER_SECOND)
    if limit != param:
        warn(f"{path}.param", f"{shown(param)} is not a whole number of traces per second; {limit} is served")
    return float(limit)


def _warn_of_type(entry: ServiceEntry | OperationEntry, path: str, warn: Warn) -> None:
    what = "is missing" if entry.type is None else f"{shown(entry.type)} is neither 'probabilistic' nor 'ratelimiting'"
    warn(f"{path}.type", f"{what}; a probability of {FALLBACK_PROBABILITY} is served, as in Jaeger")

"""What a sampling strategy is: value types that cannot hold what the protocol cannot say."""

from typing import Any, Literal

import msgspec

MAX_TRACES_PER_SECOND = 2**31 - 1
"""The protocol's ``maxTracesPerSecond`` is an int32."""

FALLBACK_PROBABILITY = 0.001
"""What Jaeger answers where nothing is configured (``DefaultSamplingProbability`` of its file provider)."""


_NO_LOWER_BOUND = 0.0


class Value(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A JSON value of the configuration: camelCase keys, defaults left out, unknown keys refused."""

    def _normalize(self, field: str, value: Any) -> None:
        """Replace a field's value by its one canonical spelling; only for ``__post_init__``."""
        msgspec.structs.force_setattr(self, field, value)


class SamplingStrategy(Value, frozen=True, gc=False):
    """How a service decides which traces to keep.

    ``probabilistic``: ``param`` is the probability, 0 to 1. ``ratelimiting``: ``param`` is whole traces per second, 0 to
    2^31-1. ``const`` (0 or 1) is accepted and becomes ``probabilistic``.

    Raises:
        ValueError: naming the field and the cure, for everything the protocol cannot carry.
    """

    type: Literal["probabilistic", "ratelimiting", "const"]
    param: float
    lower_bound_traces_per_second: float = _NO_LOWER_BOUND
    """Traces per second that are kept of every operation whatever its probability says (the protocol's
    ``defaultLowerBoundTracesPerSecond``); finite, at least 0, beside a probability only."""

    def __post_init__(self) -> None:
        if self.type == "ratelimiting":
            _check_rate_limit(self.param)
            if self.lower_bound_traces_per_second != 0:
                raise ValueError("lowerBoundTracesPerSecond: only a probabilistic strategy has a lower bound; remove it")
        elif self.type == "const":
            if self.param not in (0, 1):
                raise ValueError(f"param: a const strategy takes 0 or 1, not {self.param:g}")
            self._normalize("type", "probabilistic")
        else:
            _check_probability(self.param)
        if not 0 <= self.lower_bound_traces_per_second < float("inf"):
            raise ValueError("lowerBoundTracesPerSecond: must be a number of traces per second, 0 or more")
        # Adding 0.0 turns -0.0 into 0.0: one value, one spelling on the wire.
        self._normalize("param", self.param + 0.0)
        if self.lower_bound_traces_per_second == 0:
            # The encoder leaves a default out only where it is the very object.
            self._normalize("lower_bound_traces_per_second", _NO_LOWER_BOUND)


class OperationStrategy(Value, frozen=True, gc=False):
    """The probability of one operation (a span name) of a service.

    Raises:
        ValueError: naming the field and the cure.
    """

    operation: str
    param: float
    type: Literal["probabilistic", "ratelimiting", "const"] = "probabilistic"

    def __post_init__(self) -> None:
        if self.type == "ratelimiting":
            raise ValueError(
                "type: the protocol has no rate limit for one operation; "
                "give the operation a probability, or limit the whole service"
            )
        if self.type == "const":
            if self.param not in (0, 1):
                raise ValueError(f"param: a const strategy takes 0 or 1, not {self.param:g}")
            self._normalize("type", "probabilistic")
        if not self.operation:
            raise ValueError("operation: must not be empty; some clients lose every operation after one without a name")
        _check_probability(self.param)
        self._normalize("param", self.param + 0.0)


class EffectiveStrategy(Value, frozen=True, gc=False):
    """What a service is answered: one strategy and, beside a probability only, operation strategies.

    ``operations`` is None where the answer carries no operation sampling at all; an empty list is an answer of its own.
    """

    strategy: SamplingStrategy
    operations: tuple[OperationStrategy, ...] | None = None


MAX_NAME_BYTES = 1024
"""Longest name of a configured service, policy or pattern, in UTF-8 bytes: a B-tree key has a limit."""


def check_name(field: str, name: str) -> None:
    """Refuse a name that is empty, longer than MAX_NAME_BYTES, or has control characters or lone surrogates.

    Raises:
        ValueError: naming the field and the cure.
    """
    if not name:
        raise ValueError(f"{field}: must not be empty")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{field}: must be valid Unicode text") from None
    if size > MAX_NAME_BYTES:
        raise ValueError(f"{field}: has {size} bytes in UTF-8; at most {MAX_NAME_BYTES} are possible")
    if any(character < " " or "\x7f" <= character <= "\x9f" for character in name):
        raise ValueError(f"{field}: must not contain control characters")


def check_together(strategy: SamplingStrategy | None, operations: tuple[OperationStrategy, ...]) -> None:
    """Refuse what no answer should hold: a rate limit beside operations, an operation given twice or with a bad name.

    Raises:
        ValueError: naming the field and the cure.
    """
    if strategy is not None and strategy.type == "ratelimiting" and operations:
        raise ValueError(
            "operationStrategies: clients drop a rate limit that comes with operations; "
            "use a probabilistic samplingStrategy, or remove the operations"
        )
    seen: set[str] = set()
    for index, operation in enumerate(operations):
        check_name(f"operationStrategies[{index}].operation", operation.operation)
        if operation.operation in seen:
            raise ValueError(f"operationStrategies[{index}].operation: {operation.operation!r} is given twice; remove one")
        seen.add(operation.operation)


def _check_probability(value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"param: a probability is between 0 and 1, not {value!r}")


def _check_rate_limit(value: float) -> None:
    if not 0 <= value <= MAX_TRACES_PER_SECOND:
        raise ValueError(f"param: a rate limit is between 0 and {MAX_TRACES_PER_SECOND} traces per second, not {value:g}")
    if value != int(value):
        raise ValueError(
            f"param: the protocol carries whole traces per second, not {value:g}; "
            "use a whole number, or a probabilistic strategy for less than one"
        )


FALLBACK = SamplingStrategy("probabilistic", FALLBACK_PROBABILITY)
"""The last resort: what a service gets where neither record nor file says anything."""

"""What the clients that exist will not do with an answer: the warnings beside it.

Each was seen by running the client's own sampler, or read in its source, in the version that it names.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from sampling.encode import encode_protobuf
from sampling.strategy import EffectiveStrategy


class ClientWarning(msgspec.Struct, frozen=True, rename="camel"):
    """What one client does instead of what the answer says, and what helps."""

    client: str
    message: str
    seen_in: str
    """The package and version in which it was seen, and how."""


RETIRED = "(retired)"
"""Part of the name of a client that nobody maintains any more."""


class Limit(NamedTuple):
    """One thing that a client does not honour."""

    client: str
    seen_in: str
    concerns: Callable[[EffectiveStrategy], bool]
    message: str


def warnings_for(effective: EffectiveStrategy) -> Sequence[ClientWarning]:
    """The warnings for one answer, those of clients that are still maintained first."""
    found = [ClientWarning(limit.client, limit.message, limit.seen_in) for limit in LIMITS if limit.concerns(effective)]
    return sorted(found, key=lambda warning: RETIRED in warning.client)


def _limits_rate(effective: EffectiveStrategy) -> bool:
    return effective.strategy.type == "ratelimiting"


def _limits_to_none(effective: EffectiveStrategy) -> bool:
    return _limits_rate(effective) and effective.strategy.param == 0


def _has_lower_bound(effective: EffectiveStrategy) -> bool:
    return effective.strategy.lower_bound_traces_per_second > 0


def _has_operations(effective: EffectiveStrategy) -> bool:
    return bool(effective.operations)


def _drops_beside_operations(effective: EffectiveStrategy) -> bool:
    """Some spans should never be kept, by the probability of the service or of an operation."""
    operations = effective.operations or ()
    return bool(operations) and 0 in (effective.strategy.param, *(operation.param for operation in operations))


def _zero_comes_before_operations(effective: EffectiveStrategy) -> bool:
    operations = effective.operations or ()
    before = (effective.strategy.param, *(operation.param for operation in operations[:-1]))
    return bool(operations) and 0 in before


JAVA_MESSAGE_BYTES = 4 * 1024 * 1024
GO_OPERATIONS = 256
OLD_GO_TRACES_PER_SECOND = 2**15 - 1
OLD_PYTHON_TRACES_PER_SECOND = 499


def _is_too_long_for_java(effective: EffectiveStrategy) -> bool:
    # Most answers are so short that nobody needs to encode them to see it.
    most = sum(4 * len(operation.operation) + 32 for operation in effective.operations or ())
    return most > JAVA_MESSAGE_BYTES // 2 and len(encode_protobuf(effective)) > JAVA_MESSAGE_BYTES


_RATE_LIMIT_CURE = "give the service a probabilistic strategy instead"

LIMITS: Sequence[Limit] = (
    Limit(
        "OpenTelemetry JavaScript",
        "@opentelemetry/sampler-jaeger-remote 0.222, run",
        _limits_rate,
        f"never applies a rate limit: it keeps the sampler that it has, and warns; {_RATE_LIMIT_CURE}",
    ),
    Limit(
        "OpenTelemetry Rust",
        "opentelemetry_sdk 0.33 (jaeger_remote_sampler), run",
        _limits_rate,
        "cannot read the protocol's name RATE_LIMITING: it drops the whole answer and keeps the sampler that it has; "
        + _RATE_LIMIT_CURE,
    ),
    Limit(
        "OpenTelemetry Java",
        "opentelemetry-sdk-extension-jaeger-remote-sampler 1.65, source",
        _limits_to_none,
        "keeps the first trace in spite of the limit 0, and one after each poll; give the service the probability 0 instead",
    ),
    Limit(
        "Jaeger Go client (retired)",
        "github.com/uber/jaeger-client-go 2.30, run",
        _limits_to_none,
        "keeps the first trace in spite of the limit 0; give the service the probability 0 instead",
    ),
    Limit(
        "Jaeger Java client (retired)",
        "io.jaegertracing:jaeger-client 1.8, run",
        _limits_to_none,
        "keeps the first trace in spite of the limit 0; give the service the probability 0 instead",
    ),
    Limit(
        "Jaeger Go client (retired)",
        "github.com/uber/jaeger-client-go 2.30, run: maxTracesPerSecond is an int16 there",
        lambda effective: _limits_rate(effective) and effective.strategy.param > OLD_GO_TRACES_PER_SECOND,
        f"refuses rate limits above {OLD_GO_TRACES_PER_SECOND} and keeps the sampler that it has; give a lower limit, "
        "or the probability 1",
    ),
    Limit(
        "Jaeger Python client (retired)",
        "jaeger-client 4.8, run",
        lambda effective: _limits_rate(effective) and effective.strategy.param > OLD_PYTHON_TRACES_PER_SECOND,
        f"refuses rate limits above {OLD_PYTHON_TRACES_PER_SECOND} and keeps the sampler that it has; give a lower limit, "
        "or the probability 1",
    ),
    Limit(
        "OpenTelemetry JavaScript",
        "@opentelemetry/sampler-jaeger-remote 0.222, run",
        _has_lower_bound,
        "ignores the lower bound: operations get their probability only; give rare operations a probability of their own",
    ),
    Limit(
        "OpenTelemetry Java",
        "opentelemetry-sdk-extension-jaeger-remote-sampler 1.65, source",
        _has_lower_bound,
        "ignores the lower bound: operations get their probability only; give rare operations a probability of their own",
    ),
    Limit(
        "OpenTelemetry Rust",
        "opentelemetry_sdk 0.33 (jaeger_remote_sampler), source",
        _has_lower_bound,
        "ignores the lower bound: operations get their probability only; give rare operations a probability of their own",
    ),
    Limit(
        "OpenTelemetry Go",
        "go.opentelemetry.io/contrib/samplers/jaegerremote 0.38, run",
        lambda effective: _has_lower_bound(effective) and len(effective.operations or ()) >= GO_OPERATIONS,
        f"keeps the lower bound for {GO_OPERATIONS} operations, those of the list first: operations that are not in it get "
        "their probability only; shorten the list",
    ),
    Limit(
        "OpenTelemetry Java",
        "opentelemetry-sdk-extension-jaeger-remote-sampler 1.65, run",
        _is_too_long_for_java,
        f"refuses answers above {JAVA_MESSAGE_BYTES} bytes and keeps the sampler that it has; shorten the list of operations",
    ),
    Limit(
        "OpenTelemetry Java before 1.14",
        "its change log: parsing of 0-probability sampling strategies",
        _zero_comes_before_operations,
        "loses the operations that follow a probability of 0; upgrade it, or give a very small probability instead of 0",
    ),
    Limit(
        "Jaeger Go client (retired)",
        "github.com/uber/jaeger-client-go 2.30, run",
        _drops_beside_operations,
        "still keeps one trace of each operation whose probability is 0, and one more after each poll where the operation is "
        "not in the list; nothing here helps but another SDK",
    ),
    Limit(
        "Jaeger Java client (retired)",
        "io.jaegertracing:jaeger-client 1.8, run",
        _drops_beside_operations,
        "still keeps one trace of each operation whose probability is 0, and one more after each poll where the operation is "
        "not in the list; nothing here helps but another SDK",
    ),
    Limit(
        "Jaeger Python client (retired)",
        "jaeger-client 4.8, source",
        _has_operations,
        "goes on with an operation that leaves the list until its process ends; give the operation the service's probability "
        "instead of removing it",
    ),
    Limit(
        "Jaeger Node.js client (retired)",
        "jaeger-client 3.19, source",
        _has_operations,
        "goes on with an operation that leaves the list until its process ends; give the operation the service's probability "
        "instead of removing it",
    ),
)
"""What is known. ``run``: seen by running it; ``source``: read in its source."""

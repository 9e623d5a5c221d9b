"""Each limit of a client: an answer that meets it, and one beside it that does not."""

import pytest

from sampling.client_limits import LIMITS, warnings_for
from sampling.encode import encode_protobuf
from sampling.strategy import EffectiveStrategy, OperationStrategy, SamplingStrategy

MIB = 1024 * 1024


def limited(traces: float) -> EffectiveStrategy:
    return EffectiveStrategy(SamplingStrategy("ratelimiting", traces))


def probability(rate: float, *operations: OperationStrategy, bound: float = 0) -> EffectiveStrategy:
    strategy = SamplingStrategy("probabilistic", rate, bound)
    return EffectiveStrategy(strategy, operations or (() if bound else None))


def several(count: int) -> list[OperationStrategy]:
    return [OperationStrategy(f"GET /{number}", 0.5) for number in range(count)]


def large(size: int) -> EffectiveStrategy:
    """An answer of exactly this many bytes."""
    names = ["x" * 1000 + f"{number:05}" for number in range(size // 1024)]
    rest = size - len(encode_protobuf(probability(0.5, *(OperationStrategy(name, 0.5) for name in names))))
    names[0] += "y" * rest
    return probability(0.5, *(OperationStrategy(name, 0.5) for name in names))


OFF, HALF, ON = (OperationStrategy(name, rate) for name, rate in (("off", 0), ("half", 0.5), ("on", 1)))

CASES = [
    ("OpenTelemetry JavaScript", "never applies a rate limit", limited(5), probability(0.5)),
    ("OpenTelemetry Rust", "cannot read", limited(5), probability(0.5)),
    ("OpenTelemetry Java", "in spite of the limit 0", limited(0), limited(1)),
    ("Jaeger Go client (retired)", "in spite of the limit 0", limited(0), limited(1)),
    ("Jaeger Java client (retired)", "in spite of the limit 0", limited(0), limited(1)),
    ("Jaeger Go client (retired)", "refuses rate limits above 32767", limited(32768), limited(32767)),
    ("Jaeger Python client (retired)", "refuses rate limits above 499", limited(500), limited(499)),
    ("OpenTelemetry JavaScript", "ignores the lower bound", probability(0.5, bound=1), probability(0.5, HALF)),
    ("OpenTelemetry Java", "ignores the lower bound", probability(0.5, HALF, bound=1), probability(0.5, HALF)),
    ("OpenTelemetry Rust", "ignores the lower bound", probability(0.5, bound=0.1), probability(0.5)),
    (
        "OpenTelemetry Go",
        "keeps the lower bound for 256 operations",
        probability(0.5, *several(256), bound=1),
        probability(0.5, *several(255), bound=1),
    ),
    ("OpenTelemetry Go", "keeps the lower bound for 256 operations", probability(0, *several(256), bound=1), limited(1)),
    ("OpenTelemetry Java", "refuses answers above 4194304 bytes", large(4 * MIB + 1), large(4 * MIB)),
    ("OpenTelemetry Java before 1.14", "loses the operations", probability(0.5, OFF, ON), probability(0.5, ON, OFF)),
    ("OpenTelemetry Java before 1.14", "loses the operations", probability(0, ON), probability(0)),
    ("Jaeger Go client (retired)", "still keeps one trace", probability(0.5, OFF), probability(0.5, ON)),
    ("Jaeger Java client (retired)", "still keeps one trace", probability(0, ON), probability(0)),
    ("Jaeger Python client (retired)", "that leaves the list", probability(0.5, HALF), probability(0.5)),
    ("Jaeger Node.js client (retired)", "that leaves the list", probability(0.5, HALF), probability(0.5)),
]


def said(client: str, words: str, effective: EffectiveStrategy) -> bool:
    return any(warning.client == client and words in warning.message for warning in warnings_for(effective))


@pytest.mark.parametrize(("client", "words", "affected", "harmless"), CASES, ids=[f"{case[0]}: {case[1]}" for case in CASES])
def test_a_client_is_named_for_what_it_cannot_honour_and_only_for_that(
    client: str, words: str, affected: EffectiveStrategy, harmless: EffectiveStrategy
) -> None:
    assert said(client, words, affected)
    assert not said(client, words, harmless)


def test_every_limit_is_met_by_a_case_and_says_what_to_do_and_where_it_was_seen() -> None:
    for limit in LIMITS:
        assert any(client == limit.client and words in limit.message for client, words, _, _ in CASES), limit
        assert "; " in limit.message
        assert limit.seen_in


@pytest.mark.parametrize("effective", [probability(0), probability(0.001), probability(1)])
def test_a_plain_probability_is_honoured_by_every_client(effective: EffectiveStrategy) -> None:
    assert warnings_for(effective) == []

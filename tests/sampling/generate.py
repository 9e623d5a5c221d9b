"""Hypothesis strategies for valid records."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from sampling.records import Boost, Rules, SamplingPolicy, ServiceConfiguration
from sampling.strategy import MAX_TRACES_PER_SECOND, OperationStrategy, SamplingStrategy

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)

NAMES = ["", "a", "b", "ab", "abc", "batch-1", "batch-2", "payment", "Payment", "ü", "a/b"]
PATTERNS = ["*", "a*", "?", "a?", "[ab]", "[!a]*", "batch-*", "batch-?", "pay*", "*1", "a*c", "ab", "[", "b[", "**"]

probabilities = st.floats(0, 1, allow_subnormal=True)
operation_names = st.sampled_from(["/health", "/metrics", "GET /", "ö", '<"&>', "a"]) | st.text(
    st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8
)

operations = st.builds(OperationStrategy, operation=operation_names, param=probabilities)
"""One operation with any name and probability."""


def operation_lists(*, unique: bool = True) -> st.SearchStrategy[tuple[OperationStrategy, ...]]:
    lists = st.lists(operations, max_size=4, unique_by=(lambda operation: operation.operation) if unique else None)
    return lists.map(tuple)


probabilistic = st.builds(
    SamplingStrategy,
    type=st.just("probabilistic"),
    param=probabilities,
    lower_bound_traces_per_second=st.just(0.0) | st.floats(0, 1e30, allow_nan=False),
)
rate_limiting = st.builds(
    SamplingStrategy, type=st.just("ratelimiting"), param=st.integers(0, MAX_TRACES_PER_SECOND).map(float)
)
strategies = probabilistic | rate_limiting

instants = st.sampled_from([NOW + timedelta(hours=hours) for hours in (-2, -1, 0, 1, 2)])


@st.composite
def rules(draw: st.DrawFn) -> tuple[SamplingStrategy | None, tuple[OperationStrategy, ...] | None]:
    """A strategy and operations that may stand together."""
    strategy = draw(st.none() | strategies)
    if strategy is not None and strategy.type == "ratelimiting":
        return strategy, None
    return strategy, draw(st.none() | operation_lists())


@st.composite
def services(draw: st.DrawFn) -> ServiceConfiguration:
    strategy, given = draw(rules())
    return ServiceConfiguration(strategy, given, enabled=draw(st.booleans()), description=draw(st.text("aé ", max_size=5)))


@st.composite
def policies(draw: st.DrawFn) -> SamplingPolicy:
    strategy, given = draw(rules())
    starts, ends = draw(st.none() | instants), draw(st.none() | instants)
    if starts is not None and ends is not None and ends <= starts:
        ends = None
    return SamplingPolicy(
        draw(st.sampled_from(PATTERNS)),
        draw(st.integers(-2, 2)),
        strategy,
        given,
        starts,
        ends,
        enabled=draw(st.sampled_from([True, True, True, False])),
    )


@st.composite
def boosts(draw: st.DrawFn) -> Boost:
    strategy, given = draw(rules().filter(lambda rules: rules[0] is not None))
    return Boost(draw(instants), strategy, given)


@st.composite
def file_rules(draw: st.DrawFn) -> Rules:
    """What a strategies file may hold: duplicates, an empty list, operations beside the default's limit."""
    return Rules(draw(st.none() | strategies), draw(st.none() | operation_lists(unique=False)))

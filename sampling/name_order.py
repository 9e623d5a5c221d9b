"""Names in order, also very many of them."""

from collections.abc import Generator, Iterable
from heapq import merge
from itertools import islice

_AT_ONCE = 200


def sorted_in_slices(names: Iterable[str]) -> Generator[None, None, list[str]]:
    """As ``sorted``; yields after each slice of work."""
    rest = iter(names)
    runs: list[list[str]] = []
    while run := sorted(islice(rest, _AT_ONCE)):
        runs.append(run)
        yield
    merged = merge(*runs)
    ordered: list[str] = []
    while some := list(islice(merged, _AT_ONCE)):
        ordered += some
        yield
    return ordered

"""When the answer for a name changes by itself: at the start or end of a window."""

from collections.abc import Generator
from heapq import nsmallest

from sampling.catalog import Catalog
from sampling.layers import strategy_of
from sampling.policies import seconds

MAX_BOUNDARIES = 1000
"""So many starts and ends are looked at, the next ones; a later change is not found."""


def next_change(catalog: Catalog, name: str) -> Generator[None, None, float | None]:
    """The next instant at which the answer for a name differs from the present one; None where none is known.

    The catalog must not be changed meanwhile. Yields after each slice of work.
    """
    policies = catalog.policies.matching(name)
    boundaries = {edge for policy in policies for edge in (policy.starts, policy.ends)}
    first = catalog.instant
    if (boost := catalog.boost(name)) is not None:
        # Until a boost ends, nothing else has a say.
        first = seconds(boost.ends_at, 0)
        boundaries.add(first)
    now = catalog.resolve(name)
    for edge in nsmallest(MAX_BOUNDARIES, [edge for edge in boundaries if first <= edge < float("inf")]):
        yield
        then = [policy for policy in policies if policy.in_window(edge)]
        if strategy_of(catalog.layers(name, edge, then)) != now:
            return edge
    return None

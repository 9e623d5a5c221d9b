"""Long work on the event loop, cut into slices so short that polls do not notice."""

import asyncio
from collections.abc import Generator
from time import perf_counter
from typing import TypeVar

SLICE_SECONDS = 0.0005
"""Slices of 2 ms were seen to cut polls to a tenth, slices of 0.5 ms to a third."""

Result = TypeVar("Result")


async def paced(work: Generator[None, None, Result]) -> Result:
    """Run a generator to its end and return its value, giving way to the event loop every 0.5 ms.

    The generator yields wherever it may be interrupted; the work between two yields should take at most 0.3 ms.
    """
    slice_end = perf_counter() + SLICE_SECONDS
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result
        if perf_counter() >= slice_end:
            await asyncio.sleep(0)
            slice_end = perf_counter() + SLICE_SECONDS

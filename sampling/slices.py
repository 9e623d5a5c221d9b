"""Work that is written in slices, for those who need not give way between them."""

from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")


def at_once(work: Generator[None, None, Result]) -> Result:
    """Run a generator to its end and return its value; ``storage.pacing.paced`` is for an event loop."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result

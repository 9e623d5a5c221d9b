"""Whether a command printed what the guide promises."""

import re
from typing import NamedTuple


class Between(NamedTuple):
    """Every number that is printed lies in this range, both ends included, and there is one."""

    low: float
    high: float


Expected = str | Between
"""A pattern that is found in the output, or a range."""

_SAMPLE = re.compile(r"^.*=> (\S+) @\[", re.MULTILINE)
"""A line of `promtool query instant`."""


def is_right(output: str, expected: Expected) -> bool:
    """Whether it is what was expected."""
    if isinstance(expected, str):
        return re.search(expected, output, re.MULTILINE) is not None
    try:
        numbers = [float(text) for text in _SAMPLE.findall(output) or output.split()]
    except ValueError:
        return False
    return bool(numbers) and all(expected.low <= number <= expected.high for number in numbers)

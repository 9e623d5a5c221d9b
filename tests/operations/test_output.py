"""What counts as right output, and what does not."""

import pytest

from tests.operations.output import Between, Expected, is_right

SAMPLES = '{instance="a"} => 0.5 @[1795956481.956]\n{instance="b"} => 2 @[1795956481.956]\n'


@pytest.mark.parametrize(
    ("output", "expected", "right"),
    [
        ("UP\n", r"\AUP\n\Z", True),
        ("one\nUP\n", "^UP$", True),
        ("DOWN\n", "UP", False),
        ("3\n", Between(0, 3), True),
        ("4\n", Between(0, 3), False),
        (SAMPLES, Between(0.5, 2), True),
        (SAMPLES, Between(1, 2), False),
        ("{} => NaN @[1795956481.956]\n", Between(0, 1), False),
        ("\n", Between(0, 1), False),
        ("null\n", Between(0, 1), False),
    ],
)
def test_output_is_right_or_not(output: str, expected: Expected, *, right: bool) -> None:
    assert is_right(output, expected) is right

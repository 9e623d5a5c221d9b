"""The dialect of patterns is the standard library's, whichever way one is matched."""

import fnmatch

from hypothesis import example, given
from hypothesis import strategies as st

from sampling.pattern import Pattern

names = st.text("ab[]-!", max_size=8)
patterns = st.text("ab*?[]!-", min_size=1, max_size=8) | st.text("ab*", min_size=1, max_size=8)


@given(patterns, names)
@example("a*a", "a")
@example("*ab*ab", "ab")
@example("a*b*a", "aba")
@example("**", "")
def test_a_pattern_matches_what_the_standard_library_matches(pattern: str, name: str) -> None:
    assert Pattern(pattern).matches(name) == fnmatch.fnmatchcase(name, pattern)


@given(st.lists(st.text("ab", max_size=3), min_size=2, max_size=5), st.lists(st.text("ab", max_size=3), min_size=5, max_size=5))
def test_a_name_with_something_for_each_star_is_matched(between: list[str], fillings: list[str]) -> None:
    name = "".join(part + filling for part, filling in zip(between, [*fillings[: len(between) - 1], ""], strict=True))
    assert Pattern("*".join(between)).matches(name)

"""The index finds every policy that matches a name, and no other, however many share a beginning."""

import fnmatch

from hypothesis import example, given
from hypothesis import strategies as st

from sampling.policies import Policy, PolicyIndex
from sampling.records import SamplingPolicy
from sampling.strategy import SamplingStrategy

texts = st.text("ab-", max_size=6)
patterns = st.lists(texts | st.sampled_from(["*", "?", "[ab]", "[!b]", "[]", "["]), min_size=1, max_size=6).map("".join)


def policy(number: int, pattern: str) -> Policy:
    return Policy(f"p{number}", SamplingPolicy(pattern, sampling_strategy=SamplingStrategy("probabilistic", 0.5)))


@given(st.lists(patterns.filter(bool), max_size=12), st.lists(st.integers(0, 11), max_size=6), st.text("ab-[]", max_size=12))
@example(["a-*-bb", "a-*-bbb", "a-*-b-bbb-*"], [1], "a--bb")
@example(["*abab*", "*bab*", "*ba*", "*b*"], [], "aabab")
def test_after_any_additions_and_removals_a_name_meets_all_that_match_it(
    given_patterns: list[str], removed: list[int], name: str
) -> None:
    index = PolicyIndex()
    for number, pattern in enumerate(given_patterns):
        index.add(policy(number, pattern))
    left = dict(enumerate(given_patterns))
    for number in removed:
        index.remove(f"p{number}")
        left.pop(number, None)
    matching = {f"p{number}" for number, pattern in left.items() if fnmatch.fnmatchcase(name, pattern)}
    assert {found.name for found in index.matching(name)} == matching
    assert {found.name for found in index} == {f"p{number}" for number in left}


@given(patterns.filter(bool), patterns.filter(bool), texts)
def test_a_policy_that_is_added_again_is_matched_by_its_new_pattern_alone(old: str, new: str, name: str) -> None:
    index = PolicyIndex()
    index.add(policy(0, old))
    index.add(policy(0, new))
    assert [found.name for found in index.matching(name)] == (["p0"] if fnmatch.fnmatchcase(name, new) else [])

"""Why a name gets what it gets: against the answers themselves, and in words."""

import copy
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.explanation import SHOWN_POLICIES, Candidate, Explanation, explain
from sampling.policies import moment_text
from sampling.records import Boost, Change, Key, Rules, SamplingPolicy, ServiceConfiguration, Stored, encode_record
from sampling.slices import at_once
from sampling.strategy import OperationStrategy, SamplingStrategy
from tests.sampling.configurations import NOW_SECONDS, catalog_of, change, configurations, defaults
from tests.sampling.generate import NAMES, NOW
from tests.sampling.reference_resolver import Configuration, answer

HALF = SamplingStrategy("probabilistic", 0.5)
TEN_A_SECOND = SamplingStrategy("ratelimiting", 10)
HEALTH = OperationStrategy("GET /health", 0)
HOUR = timedelta(hours=1)


@given(configurations())
def test_an_explanation_shows_the_answer_one_winner_and_every_operation(configuration: Configuration) -> None:
    catalog = catalog_of(configuration)
    for name in NAMES:
        found = at_once(explain(catalog, name))
        assert (found.effective, found.instant) == (catalog.resolve(name), catalog.instant)
        winners = [each for each in found.candidates if each.outcome == "wins"]
        assert [each.sampling_strategy for each in winners] == [found.effective.strategy]
        assert [(each.source, each.key) for each in winners] == [(found.winner.source, found.winner.key)]
        assert [(each.operation, each.param) for each in found.operations] == [
            (each.operation, each.param) for each in found.effective.operations or ()
        ]
        assert all(each.reason for each in found.candidates)
        places = [(each.source, each.key) for each in found.candidates]
        assert len(places) == len(set(places)) == found.candidate_count


@given(configurations(), st.sampled_from(["/health", "GET /", "a", "named nowhere"]))
def test_an_operation_gets_what_the_answer_says(configuration: Configuration, operation: str) -> None:
    catalog = catalog_of(configuration)
    for name in NAMES:
        effective = catalog.resolve(name)
        found = at_once(explain(catalog, name, operation)).operation
        assert found is not None
        listed = [each.param for each in effective.operations or () if each.operation == operation]
        if effective.strategy.type == "ratelimiting":
            assert found.param is None
        else:
            assert found.param == (listed[-1] if listed else effective.strategy.param)
        assert [(each.source, each.key) for each in found.candidates if each.outcome == "wins"] == [(found.source, found.key)]
        assert all(each.reason for each in found.candidates)


@given(configurations())
def test_the_next_change_is_the_first_instant_at_which_the_answer_differs(configuration: Configuration) -> None:
    catalog = catalog_of(configuration)
    # Windows in these configurations start and end at full hours.
    later = [NOW + HOUR, NOW + 2 * HOUR]
    for name in NAMES:
        now = answer(configuration, name, NOW)
        expected = next((at.timestamp() for at in later if answer(configuration, name, at) != now), None)
        assert at_once(explain(catalog, name)).next_change == expected


@given(configurations(), defaults(), st.sampled_from(NAMES))
def test_a_change_in_the_middle_of_an_explanation_is_not_seen(
    configuration: Configuration, default: SamplingPolicy, name: str
) -> None:
    expected = at_once(explain(catalog_of(copy.deepcopy(configuration)), name, "a"))
    catalog = catalog_of(configuration)
    work = explain(catalog, name, "a")
    next(work)
    catalog.apply([change("policy", key, None) for key in configuration.policies])
    catalog.apply([change("service", key, None) for key in configuration.services])
    catalog.apply([change("boost", key, None) for key in configuration.boosts])
    catalog.apply([change("policy", "default", default), change("policy", "new", SamplingPolicy("*", 9, HALF, (HEALTH,)))])
    catalog.instant += 7200
    assert at_once(work) == expected


def explained(configuration: Configuration, operation: str = "") -> Explanation:
    return at_once(explain(catalog_of(configuration), "checkout", operation))


def candidate(found: Explanation, source: str, key: str) -> Candidate:
    return next(each for each in found.candidates if (each.source, each.key) == (source, key))


def policy(
    pattern: str = "check*", priority: int = 0, *, starts_at: datetime | None = None, ends_at: datetime | None = None
) -> SamplingPolicy:
    return SamplingPolicy(pattern, priority, HALF, starts_at=starts_at, ends_at=ends_at)


RULES = Rules(HALF)
RECORD = ServiceConfiguration(HALF)
OFF = ServiceConfiguration(HALF, enabled=False)
HEALTH_ONLY = ServiceConfiguration(operation_strategies=(HEALTH,))
LIMITED = SamplingPolicy("check*", 0, TEN_A_SECOND)
WINS = [
    (Configuration(boosts={"checkout": Boost(NOW + HOUR, HALF)}), "boost", "checkout", "until 2026-11-23T13:00:00Z; a boost"),
    (
        Configuration(boosts={"checkout": Boost(NOW + HOUR, HALF, reason="incident 4711")}),
        "boost",
        "checkout",
        "until 2026-11-23T13:00:00Z (incident 4711); a boost",
    ),
    (
        Configuration(services={"checkout": ServiceConfiguration()}, file_services={"checkout": Rules(HALF, (HEALTH,))}),
        "file",
        "checkout",
        "; the operations of the service's record, even none, replace those of the file's entry",
    ),
    (Configuration(services={"checkout": RECORD}), "service", "checkout", "own record"),
    (Configuration(file_services={"checkout": RULES}), "file", "checkout", "the strategies file has an entry"),
    (Configuration(policies={"p": policy()}), "policy", "p", "'check*' matches"),
    (Configuration(policies={"p": policy(priority=20), "q": policy()}), "policy", "p", "priority 20, the first of 2"),
    (Configuration(default=SamplingPolicy("*", 0, HALF)), "default", "default", "no boost, record"),
    (Configuration(file_default=RULES), "file-default", "", "the strategies file has a default"),
    (Configuration(), "fallback", "", "built-in last resort"),
]
LOSES = [
    (Configuration(boosts={"checkout": Boost(NOW - HOUR, HALF)}), "boost", "checkout", "ended at 2026-11-23T11:00:00Z"),
    (
        Configuration(services={"checkout": RECORD}, boosts={"checkout": Boost(NOW + HOUR, HALF)}),
        "service",
        "checkout",
        "the boost replaces the whole answer until 2026-11-23T13:00:00Z",
    ),
    (Configuration(services={"checkout": OFF}), "service", "checkout", "disabled"),
    (Configuration(services={"checkout": HEALTH_ONLY}), "service", "checkout", "gives no strategy, operation rules alone"),
    (Configuration(services={"checkout": ServiceConfiguration()}), "service", "checkout", "gives no strategy"),
    (
        Configuration(services={"checkout": RECORD}, file_services={"checkout": RULES}),
        "file",
        "checkout",
        "the service's record stands above it",
    ),
    (
        Configuration(services={"checkout": RECORD}, policies={"p": policy()}),
        "policy",
        "p",
        "the service's record stands above it",
    ),
    (
        Configuration(policies={"p": policy(priority=10), "q": policy(priority=20)}),
        "policy",
        "p",
        "priority 10 against 20 of the policy 'q'",
    ),
    (
        Configuration(policies={"p": policy("*"), "q": policy()}),
        "policy",
        "p",
        "the same priority 0 as the policy 'q', whose pattern 'check*' is more specific than '*'",
    ),
    (
        Configuration(policies={"p": policy(), "q": policy()}),
        "policy",
        "q",
        "the same priority 0 and an equally specific pattern as the policy 'p', first by name",
    ),
    (Configuration(policies={"p": policy(starts_at=NOW + HOUR)}), "policy", "p", "starts at 2026-11-23T13:00:00Z"),
    (Configuration(policies={"p": policy(ends_at=NOW)}), "policy", "p", "ended at 2026-11-23T12:00:00Z"),
    (Configuration(policies={"p": SamplingPolicy("*", 0, HALF, enabled=False)}), "policy", "p", "disabled"),
    (
        Configuration(policies={"p": SamplingPolicy("*", operation_strategies=(HEALTH,))}),
        "policy",
        "p",
        "gives no strategy, operation rules alone",
    ),
    (Configuration(), "default", "default", "nobody has set it"),
    (Configuration(default=SamplingPolicy("*", 0, HALF, enabled=False)), "default", "default", "disabled"),
    (
        Configuration(policies={"p": policy()}, default=SamplingPolicy("*", 0, HALF)),
        "default",
        "default",
        "the policy 'p' stands above it",
    ),
    (
        Configuration(default=SamplingPolicy("*", 0, HALF), file_default=RULES),
        "file-default",
        "",
        "the default stands above it",
    ),
    (Configuration(file_default=RULES), "fallback", "", "the default of the strategies file stands above it"),
    (
        Configuration(services={"checkout": HEALTH_ONLY}, policies={"p": LIMITED}),
        "service",
        "checkout",
        "gives no strategy, operation rules alone; its operation rules do not count beside a rate limit",
    ),
    (
        Configuration(policies={"p": LIMITED}, default=SamplingPolicy("*", 0, HALF, (HEALTH,))),
        "default",
        "default",
        "the policy 'p' stands above it; its operation rules do not count beside a rate limit",
    ),
]


@pytest.mark.parametrize(("configuration", "source", "key", "reason"), WINS)
def test_the_winner_has_its_reason(configuration: Configuration, source: str, key: str, reason: str) -> None:
    found = candidate(explained(configuration), source, key)
    assert found.outcome == "wins"
    assert reason in found.reason


@pytest.mark.parametrize(("configuration", "source", "key", "reason"), LOSES)
def test_every_loser_has_its_reason(configuration: Configuration, source: str, key: str, reason: str) -> None:
    found = candidate(explained(configuration), source, key)
    assert (found.outcome, found.reason) == ("loses", reason)


def test_a_policy_for_other_names_is_no_candidate() -> None:
    found = explained(Configuration(policies={"p": policy("other*"), "q": SamplingPolicy("o*", 0, HALF, enabled=False)}))
    assert [each.source for each in found.candidates] == ["default", "fallback"]


@pytest.mark.parametrize(
    "key", [Key("service", "checkout"), Key("policy", "p"), Key("boost", "checkout"), Key("policy", "default")]
)
def test_a_record_that_somebody_broke_loses_and_says_what_is_wrong(key: Key) -> None:
    catalog = catalog_of(Configuration())
    catalog.apply([Change(key, Stored(1, "0" * 16, b'{"samplingStrategy":{"type":"probabilistic","param":7}}'))])
    source = "default" if key.name == "default" else key.kind
    found = candidate(at_once(explain(catalog, "checkout")), source, key.name)
    assert found.outcome == "loses"
    assert "cannot be read, and counts as absent" in found.reason


OPERATION_REASONS = [
    (
        Configuration(
            services={"checkout": ServiceConfiguration(HALF, (HEALTH,))},
            policies={"p": SamplingPolicy("*", operation_strategies=(OperationStrategy("GET /health", 1),))},
        ),
        [
            ("service", 0, "wins", "the first place that names the operation"),
            ("policy", 1, "loses", "the service's record stands above it and names the operation too"),
        ],
    ),
    (
        Configuration(
            services={"checkout": ServiceConfiguration(TEN_A_SECOND)}, default=SamplingPolicy("*", 0, HALF, (HEALTH,))
        ),
        [
            ("default", 0, "loses", "the service's record gives a rate limit, which clients would drop beside operations"),
            ("service", None, "wins", "the answer is a rate limit for the whole service, and carries no operations"),
        ],
    ),
    (
        Configuration(services={"checkout": RECORD}, file_services={"checkout": Rules(HALF, (HEALTH,))}),
        [
            ("file", 0, "loses", "the operations of the service's record, even none, replace those of the file's entry"),
            (
                "service",
                0.5,
                "wins",
                "no place that has a say names the operation, so the strategy of the whole service decides",
            ),
        ],
    ),
    (
        Configuration(services={"checkout": OFF}, file_services={"checkout": Rules(HALF, (HEALTH,))}),
        [("file", 0, "wins", "the first place that names the operation")],
    ),
    (
        Configuration(file_services={"checkout": Rules(HALF, (HEALTH, OperationStrategy("GET /health", 1)))}),
        [("file", 1, "wins", "the first place that names the operation")],
    ),
    (
        Configuration(default=SamplingPolicy("*", 0, HALF), file_default=Rules(HALF, (HEALTH,))),
        [
            (
                "file-default",
                0,
                "loses",
                "the operations of the default record, even none, replace those of the file's default",
            ),
            (
                "default",
                0.5,
                "wins",
                "no place that has a say names the operation, so the strategy of the whole service decides",
            ),
        ],
    ),
    (
        Configuration(policies={"p": SamplingPolicy("*", operation_strategies=(HEALTH,), enabled=False)}),
        [
            ("policy", 0, "loses", "disabled"),
            (
                "fallback",
                0.001,
                "wins",
                "no place that has a say names the operation, so the strategy of the whole service decides",
            ),
        ],
    ),
]


@pytest.mark.parametrize(("configuration", "expected"), OPERATION_REASONS)
def test_who_decides_about_an_operation_has_its_reason(
    configuration: Configuration, expected: list[tuple[str, float | None, str, str]]
) -> None:
    found = explained(configuration, "GET /health").operation
    assert found is not None
    assert [(each.source, each.param, each.outcome, each.reason) for each in found.candidates] == expected
    assert found.candidate_count == len(expected)


def test_without_the_question_no_operation_is_explained() -> None:
    assert explained(Configuration(services={"checkout": ServiceConfiguration(HALF, (HEALTH,))})).operation is None


def test_the_policies_that_count_most_are_listed_and_all_are_counted() -> None:
    many = {
        f"p{number:04}": SamplingPolicy("*", number, operation_strategies=(HEALTH,)) for number in range(SHOWN_POLICIES + 50)
    }
    found = explained(Configuration(policies=many, default=SamplingPolicy("*", 0, HALF)), "GET /health")
    assert found.candidate_count == SHOWN_POLICIES + 52
    listed = [each.key for each in found.candidates if each.source == "policy"]
    assert listed == [f"p{number:04}" for number in reversed(range(50, SHOWN_POLICIES + 50))]
    assert candidate(found, "default", "default").outcome == "wins"
    assert found.operation is not None
    assert (len(found.operation.candidates), found.operation.candidate_count) == (SHOWN_POLICIES, SHOWN_POLICIES + 50)


def test_the_winner_is_listed_also_behind_very_many() -> None:
    many = {f"p{number:04}": SamplingPolicy("*", 0, HALF, (HEALTH,), enabled=False) for number in range(SHOWN_POLICIES + 50)}
    found = explained(Configuration(policies=many, default=SamplingPolicy("*", 0, HALF, (HEALTH,))), "GET /health").operation
    assert found is not None
    assert (len(found.candidates), found.candidate_count) == (SHOWN_POLICIES + 1, SHOWN_POLICIES + 51)
    assert (found.candidates[-1].source, found.candidates[-1].outcome) == ("default", "wins")


def test_a_winner_behind_very_many_policies_is_listed() -> None:
    many = {f"p{number:04}": SamplingPolicy("*", 10, operation_strategies=(HEALTH,)) for number in range(SHOWN_POLICIES + 1)}
    found = explained(Configuration(policies={**many, "winner": SamplingPolicy("*", 1, HALF)}))
    assert [each.key for each in found.candidates if each.outcome == "wins"] == ["winner"]
    assert (len(found.candidates), found.candidate_count) == (SHOWN_POLICIES + 3, SHOWN_POLICIES + 4)


def test_a_candidate_says_which_commit_wrote_it_and_what_a_policy_matches() -> None:
    catalog = catalog_of(Configuration(file_services={"checkout": RULES}))
    catalog.apply(
        [
            Change(Key("service", "checkout"), Stored(7, "c" * 16, encode_record(RECORD))),
            Change(Key("policy", "p"), Stored(8, "d" * 16, encode_record(policy(priority=3)))),
        ]
    )
    found = at_once(explain(catalog, "checkout"))
    said = {each.source: (each.revision, each.service_pattern, each.priority) for each in found.candidates}
    assert (said["service"], said["policy"]) == ((7, None, None), (8, "check*", 3))
    assert (said["file"], said["fallback"]) == ((None, None, None), (None, None, None))


@pytest.mark.parametrize("last", ["9999-12-31T23:59:59.999999+00:00", "9999-12-31T23:59:59.99999+00:00"])
def test_a_window_that_is_open_to_the_end_of_time_is_told(last: str) -> None:
    found = explained(Configuration(policies={"p": policy("*", ends_at=datetime.fromisoformat(last))}))
    assert found.next_change is not None
    assert moment_text(found.next_change).startswith("9999-12-31T23:59:59")


def test_a_window_that_changes_nothing_is_no_change() -> None:
    inside = policy(starts_at=NOW + HOUR)
    assert explained(Configuration(services={"checkout": RECORD}, policies={"p": inside})).next_change is None
    found = explained(Configuration(policies={"p": inside, "q": policy("*", -1, starts_at=NOW + HOUR / 2, ends_at=NOW + HOUR)}))
    assert found.next_change == NOW_SECONDS + 1800


def test_a_window_under_a_boost_changes_the_answer_when_the_boost_ends() -> None:
    boost = Boost(NOW + 2 * HOUR, SamplingStrategy("probabilistic", 1))
    found = explained(Configuration(boosts={"checkout": boost}, policies={"p": policy(starts_at=NOW + HOUR)}))
    assert found.next_change == NOW_SECONDS + 7200

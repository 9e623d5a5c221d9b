"""Which indices are Jaeger's and Zipkin's of a day, and which of them are old."""

from collections.abc import Sequence
from datetime import date, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.integrations.trace_indices import Decision, Index, Listing, TraceIndices, older_than
from tests.services.elasticsearch_stand_in import ElasticsearchStandIn

TODAY = date(2026, 11, 24)

KINDS = [
    *("jaeger-span", "jaeger-service", "jaeger-dependencies", "jaeger-sampling"),
    *("zipkin-span", "zipkin-dependency", "zipkin-autocomplete"),
]

SEPARATORS = {"-": "-", ".": ".", "_": "_", "none": ""}


def decide(
    indices: Sequence[Index | str],
    names: TraceIndices | None = None,
    *,
    days: int = 30,
    aliases: Sequence[str] = (),
    data_streams: Sequence[str] = (),
    write_indices: dict[str, str] | None = None,
) -> Decision:
    listing = Listing([Index(each) if isinstance(each, str) else each for each in indices], aliases, data_streams)
    work = (names or TraceIndices()).decide([listing], TODAY, days, write_indices or {})
    while True:
        try:
            next(work)
        except StopIteration as end:
            decision: Decision = end.value
            return decision


def reasons(decision: Decision) -> dict[str, str]:
    return {each.index: each.reason for each in decision.stayed}


def old(decision: Decision) -> list[str]:
    return [each.name for each in decision.old]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_name_with_a_date_is_of_that_day(kind: str, separator: str) -> None:
    names, between = TraceIndices((), separator), SEPARATORS[separator]
    assert names.day(f"{kind}-2026{between}02{between}28") == date(2026, 2, 28)
    for other in SEPARATORS.values():
        if other != between:
            assert names.day(f"{kind}-2026{other}02{other}28") is None


@pytest.mark.parametrize("separator", SEPARATORS)
def test_jaegers_hourly_indices_are_of_their_day_and_zipkin_has_none(separator: str) -> None:
    names, between = TraceIndices((), separator), SEPARATORS[separator]
    stem = f"2026{between}02{between}28{between}"
    for hour in ("00", "09", "19", "23"):
        assert names.day(f"jaeger-span-{stem}{hour}") == names.day(f"jaeger-service-{stem}{hour}") == date(2026, 2, 28)
        assert names.day(f"zipkin-span-{stem}{hour}") is None
    for hour in ("24", "99", "1", "001", "-1"):
        assert names.day(f"jaeger-span-{stem}{hour}") is None


@pytest.mark.parametrize(
    "name",
    [
        "jaeger-span-2026-02-30",
        "jaeger-span-2026-13-01",
        "jaeger-span-2026-00-10",
        "jaeger-span-2026-10-00",
        "jaeger-span-0000-10-10",
        "jaeger-span-2025-02-29",
        "jaeger-span-2026-1-1",
        "jaeger-span-26-01-01",
        "jaeger-span-2026-01-01 ",
        "jaeger-span-2026-01-01\n",
        " jaeger-span-2026-01-01",
        "jaeger-span-2026-01-01-",
        "jaeger-span-2026-01-01,jaeger-span-2026-01-02",
        "jaeger-span-2026-01-*",
        "jaeger-span-*",
        "*",
        "_all",
        "jaeger-span-٢٠٢٦-01-01",
        "Jaeger-span-2026-01-01",
        "jaeger-span-archive",
        "jaeger-span-archive-2026-01-01",
        "jaeger-span-000001",
        "jaeger-span-2026-01",
        "jaeger-span2026-01-01",
        "jaeger-spans-2026-01-01",
        "jaeger-operation-2026-01-01",
        "my-jaeger-span-2026-01-01",
        "-jaeger-span-2026-01-01",
        "zipkin:span-2026-01-01",
        ".ds-jaeger-span-2026-01-01-000001",
        "cluster:jaeger-span-2026-01-01",
        "<jaeger-span-{now/d}>",
        "logs-2026-01-01",
        "",
    ],
)
def test_any_other_name_is_of_no_day(name: str) -> None:
    assert TraceIndices().day(name) is None


def test_prefixes_join_as_jaeger_joins_them_and_stand_in_the_place_of_none() -> None:
    names = TraceIndices(("prod", "test-", "a.b_c"))
    for stem in ("prod-", "test-", "a.b_c-"):
        assert names.day(f"{stem}jaeger-span-2026-01-01") == names.day(f"{stem}zipkin-span-2026-01-01") == date(2026, 1, 1)
    others = ("", "prod", "prod--", "test", "test--", "axb_c-", "other-", "prod-test-", "prod-prod-")
    assert not any(names.day(f"{stem}{kind}-2026-01-01") for stem in others for kind in KINDS)
    assert "prod-jaeger-span-*" in names.patterns
    assert "test-zipkin-dependency-*" in names.patterns
    assert len(names.patterns) == 3 * len(KINDS)


def test_the_same_prefix_with_and_without_its_dash_is_asked_for_once() -> None:
    assert len(TraceIndices(("prod", "prod-")).patterns) == len(KINDS)


def test_a_separator_and_a_prefix_mean_themselves_and_no_pattern() -> None:
    assert TraceIndices((), ".").day("jaeger-span-2026x01x01") is None
    assert TraceIndices(("a.b",)).day("axb-jaeger-span-2026-01-01") is None


@pytest.mark.parametrize("days", [1, 2, 30, 365, 36500])
def test_old_is_what_is_of_a_day_more_than_so_many_days_back(days: int) -> None:
    first_that_stays = TODAY - timedelta(days=days)
    assert older_than(TODAY, days) == first_that_stays
    decision = decide([f"jaeger-span-{first_that_stays + timedelta(days=offset)}" for offset in (-2, -1, 0, 1)], days=days)
    assert old(decision) == [f"jaeger-span-{first_that_stays - timedelta(days=offset)}" for offset in (2, 1)]
    youngest_that_goes = first_that_stays - timedelta(days=1)
    # It ended with that day: no trace in it began less than so many times 24 hours ago, however late it is today.
    assert (TODAY - (youngest_that_goes + timedelta(days=1))).days >= days


@pytest.mark.parametrize("days", [0, -1])
def test_less_than_a_day_is_refused(days: int) -> None:
    with pytest.raises(ValueError, match="days"):
        decide(["jaeger-span-2020-01-01"], days=days)


def test_what_stays_is_told_with_the_reason() -> None:
    stream = Index("jaeger-span-2026-01-02", data_stream="logs")
    decision = decide(
        [
            *("jaeger-span-2026-10-25", "jaeger-span-2026-11-24", "jaeger-span-2026-11-25", "jaeger-span-2026-02-30"),
            *("jaeger-span-000042", "jaeger-span-archive", "jaeger-span-2026-01-01", stream),
        ],
        aliases=["jaeger-span-read"],
        data_streams=["jaeger-span-stream"],
        write_indices={"jaeger-span-2026-01-01": "jaeger-span-write"},
    )
    assert not decision.old
    assert reasons(decision) == {
        "jaeger-span-2026-10-25": "not older than 30 days",
        "jaeger-span-2026-11-24": "of today",
        "jaeger-span-2026-11-25": "its day is in the future",
        "jaeger-span-2026-02-30": "no date like 2026-11-24 in its name",
        "jaeger-span-000042": "a rollover index; its lifecycle policy removes what is old",
        "jaeger-span-archive": "no date like 2026-11-24 in its name",
        "jaeger-span-2026-01-01": "the alias jaeger-span-write writes to it",
        "jaeger-span-2026-01-02": "a backing index of the data stream logs; its lifecycle policy removes what is old",
        "jaeger-span-read": "an alias",
        "jaeger-span-stream": "a data stream; its lifecycle policy removes what is old",
    }
    assert [each.index for each in decision.stayed] == sorted(reasons(decision))


def test_a_data_stream_or_an_alias_that_is_called_like_an_index_of_a_day_stays() -> None:
    names = ["jaeger-span-2020-01-01", "jaeger-span-2020-01-02"]
    assert not decide(names, aliases=names[:1], data_streams=names[1:]).old


def test_the_oldest_go_first() -> None:
    names = ["zipkin-span-2026-01-02", "jaeger-span-2026-01-02", "jaeger-span-2026-01-03", "zipkin-span-2025-12-31"]
    assert old(decide(names)) == [names[3], names[1], names[0], names[2]]


PARTS = st.sampled_from(
    [
        *KINDS,
        "jaeger",
        "zipkin",
        "span",
        "prod",
        "prod-",
        "-",
        ".",
        "_",
        "*",
        ",",
        "?",
        "000001",
        "2026",
        "2020",
        "01",
        "31",
        "13",
    ]
)
ANYTHING = st.lists(PARTS, max_size=9).map("".join) | st.text(max_size=40)
DATED = st.builds(
    lambda kind, day, hour: f"{kind}-{day}{hour}", st.sampled_from(KINDS), st.dates(), st.sampled_from(["", "-00", "-23"])
)


@given(st.lists(ANYTHING | DATED, max_size=20), st.integers(1, 36500))
@example(["jaeger-span-2020-01-01", "zipkin-span-0001-01-01"], 1)
def test_no_name_outside_the_patterns_and_nothing_young_is_ever_chosen(names: list[str], days: int) -> None:
    decision = decide(names, days=days)
    for each in decision.old:
        # Said once more, without any expression: one of the kinds, a dash, ten characters of a date, perhaps an hour.
        kind = next(kind for kind in KINDS if each.name.startswith(f"{kind}-"))
        rest = each.name.removeprefix(f"{kind}-")
        assert date.fromisoformat(rest[:10]) == each.day < TODAY - timedelta(days=days)
        assert rest[10:] == "" or (
            kind.startswith("jaeger") and rest[10] == "-" and len(rest) == 13 and 0 <= int(rest[11:]) < 24
        )
        assert not set(each.name) - set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert {each.name for each in decision.old} | {each.index for each in decision.stayed} == set(names)
    assert not {each.name for each in decision.old} & {each.index for each in decision.stayed}


@given(st.lists(DATED, max_size=10), st.integers(1, 400))
def test_with_prefixes_nothing_without_one_is_chosen(names: list[str], days: int) -> None:
    assert not decide(names, TraceIndices(("prod",)), days=days).old
    prefixed = decide([f"prod-{name}" for name in names], TraceIndices(("prod",)), days=days)
    assert [name.removeprefix("prod-") for name in old(prefixed)] == old(decide(names, days=days))


@given(st.lists(DATED, max_size=10))
def test_each_name_is_found_by_one_of_the_patterns(names: list[str]) -> None:
    server = ElasticsearchStandIn(names)
    found = [name for pattern in TraceIndices().patterns for name in server._matching(pattern, ["open"])]
    assert sorted(found) == sorted(set(names))

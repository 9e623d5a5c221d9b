"""What a terminal of some width shows: whole words, whole instants, no columns that say nothing."""

import re
from collections.abc import Iterator

import pytest

from tests.e2e.command_line import Run, lines, on_terminal, runner
from tests.e2e.replica import Replica

NAME = "checkout-frontend-of-the-west"
REASON = "the nightly jobs flood the storage, so they are limited until it grows"


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    with Replica(tmp_path_factory.mktemp("table")) as replica:
        run = runner(replica)
        run("set", "policy", NAME, "--pattern", "batch-*", "--rate-limit", "5", "--reason", REASON)
        run("set", "policy", "limited", "--pattern", "*", "--probability", "0.5", "--description", "x")
        yield replica


@pytest.fixture
def run(replica: Replica) -> Run:
    return runner(replica)


def seen(replica: Replica, columns: int, *arguments: str) -> list[str]:
    """The lines of a terminal that are all as long as they are written: none is longer than the terminal is wide."""
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", on_terminal(replica, *arguments, columns=columns)).splitlines()
    assert max(map(len, shown)) <= columns
    return [line.rstrip() for line in shown]


def test_headings_names_and_numbers_stand_whole_and_empty_columns_are_left_out(run: Run, replica: Replica) -> None:
    heading, *rows = seen(replica, 90, "list", "policies")
    assert heading.split() == ["POLICY", "PATTERN", "PRIORITY", "STRATEGY", "OPERATIONS", "ENABLED"]
    assert rows[0].split() == [NAME, "batch-*", "0", "rate", "limit", "5/s", "0", "yes"]
    piped = lines(run("list", "policies"))[0].split()
    assert piped == ["POLICY", "PATTERN", "PRIORITY", "STRATEGY", "OPERATIONS", "FROM", "UNTIL", "OWNER", "ENABLED"]


def test_long_texts_wrap_between_words_and_instants_stay_whole(run: Run, replica: Replica) -> None:
    shown = seen(replica, 80, "history", NAME)
    assert len(shown) > 2
    assert shown[0].split() == ["REVISION", "AT", "ACTOR", "CHANGE", "REASON"]
    column = shown[0].index("REASON")
    assert " ".join(line[column:].strip() for line in shown[1:]) == REASON
    assert any(NAME in line for line in shown)
    assert re.match(r"1 +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  admin  ", shown[1])


def test_a_name_is_broken_only_where_nothing_else_makes_room(replica: Replica) -> None:
    shown = seen(replica, 71, "history", NAME)
    assert re.search(r"\d\d:\d\d:\d\dZ", shown[1])
    column = shown[0].index("CHANGE")
    pieces = [line[column : shown[0].index("REASON")].strip() for line in shown[1:]]
    assert "".join(pieces) == f"added policy{NAME}"
    assert NAME not in pieces


def test_a_terminal_too_narrow_for_a_table_shows_each_record_in_lines_of_its_own(replica: Replica) -> None:
    shown = seen(replica, 50, "list", "policies")
    assert shown[:2] == [f"POLICY      {NAME}", "PATTERN     batch-*"]
    assert "ENABLED     yes" in shown
    assert not any(line.startswith("OWNER") for line in shown)


def test_lines_with_a_colour_wrap_between_words_too(run: Run, replica: Replica) -> None:
    (warning, *_) = [line for line in lines(run("explain", "batch-1")) if line.startswith("warning: OpenTelemetry Rust")]
    assert len(warning) > 80
    assert warning in " ".join(seen(replica, 80, "explain", "batch-1"))

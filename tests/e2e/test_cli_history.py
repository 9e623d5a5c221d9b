"""``tracing-config history``, ``diff``, ``rollback`` and ``store accept``."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.postgres import PostgresStore
from tests.e2e.command_line import DONE, FAILED, PENDING, USAGE, Run, Terminal, lines, newest_revision, on_terminal, runner
from tests.e2e.replica import Replica
from tests.e2e.test_store_accept import details, empty, fill
from tests.waiting import eventually


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    with Replica(tmp_path_factory.mktemp("cli")) as replica:
        yield replica


@pytest.fixture
def run(replica: Replica) -> Run:
    return runner(replica)


@pytest.fixture(scope="module")
def many(replica: Replica) -> list[str]:
    """More services than one page has."""
    names = [f"many-{number:04}" for number in range(1203)]
    record = {"samplingStrategy": {"type": "probabilistic", "param": 0.5}}
    document = {"services": dict.fromkeys(names, record)}
    assert replica.api("POST", "/import", json=document).status_code == 200
    return names


def test_history_tells_who_changed_what_and_why(run: Run, replica: Replica) -> None:
    run("set", "service", "past", "--probability", "0.5", "--reason", "first")
    run("set", "service", "past", "--probability", "0.25", "--reason", "second")
    run("delete", "service", "past", "--reason", "third")
    told = lines(run("history", "past", "--kind", "service"))
    assert [line.split()[-1] for line in told[1:]] == ["third", "second", "first"]
    assert [next(verb for verb in ("added", "changed", "deleted") if verb in line) for line in told[1:]] == [
        "deleted",
        "changed",
        "added",
    ]
    assert all("admin" in line for line in told[1:])
    full = run("history", "past", "--full").stdout
    assert re.search(r"^ *- .*0\.5", full, re.MULTILINE)
    found = json.loads(run("history", "past", "--json").stdout)
    assert found == replica.api("GET", "/changes", params={"name": "past", "limit": 50}).json()
    revision = str(found["changes"][0]["revision"])
    assert len(lines(run("history", "--revision", revision))) == 2
    assert len(lines(run("history", "--commit", found["changes"][0]["commitId"][:12]))) == 2


def test_history_takes_instants_and_durations(run: Run) -> None:
    run("set", "service", "when", "--probability", "0.5")
    assert len(lines(run("history", "when", "--since", "1h"))) == 2
    assert len(lines(run("history", "when", "--until", "1h"))) <= 1
    assert len(lines(run("history", "when", "--since", "2026-01-01T00:00:00+01:00"))) == 2
    for option in ("--since", "--until"):
        refused = run("history", option, "yesterday", code=FAILED).stderr
        assert re.search(rf"{option}: must be .* like 2\d{{3}}-[^ ]*Z, or 2h: so long ago$", refused)


def test_history_says_on_the_side_that_there_is_more(run: Run) -> None:
    run("set", "service", "more", "--probability", "0.5")
    run("set", "service", "more", "--probability", "0.25")
    result = run("history", "more", "--limit", "1")
    assert len(lines(result)) == 2
    assert "--limit" in result.stderr
    assert run("history", "more", "--limit", "2").stderr == ""
    assert run("history", "--actor", "nobody-of-this-name").exit_code == DONE


def test_a_history_that_goes_on_as_it_says_gives_each_change_once(run: Run, replica: Replica) -> None:
    names = [f"walked-{number:02}" for number in range(20)]
    record = {"samplingStrategy": {"type": "probabilistic", "param": 0.5}}
    assert replica.api("POST", "/import", json={"services": dict.fromkeys(names, record)}).status_code == 200
    revision = str(newest_revision(replica))
    found: list[str] = []
    more: list[str] = []
    for _ in range(10):
        page = run("history", "--revision", revision, "--limit", "2", *more)
        rows = [name for line in lines(page)[1:] for name in re.findall(r"walked-\d\d", line)]
        assert len(rows) == 2
        found += rows
        more = re.findall(r"--before \S+", page.stderr)[0].split() if page.stderr else []
    assert found == names[::-1]
    assert more == []
    for wrong in ("64", "64.", "x.1", "64.18\n", ""):
        assert "--before" in run("history", "--before", wrong, code=USAGE).stderr


def test_diff_shows_records_line_by_line(run: Run, replica: Replica) -> None:
    run("set", "service", "differs", "--probability", "0.5")
    before = newest_revision(replica)
    run("set", "service", "differs", "--probability", "0.25")
    run("set", "service", "appears", "--probability", "1")
    after = newest_revision(replica)
    shown = run("diff", str(before), str(after)).stdout
    assert re.search(r"~ service differs\n(.*\n)*? *- .*0\.5\b.*\n *\+ .*0\.25", shown)
    assert "+ service appears" in shown
    assert "- service appears" in run("diff", str(after), str(before)).stdout
    assert run("diff", str(before)).stdout == shown
    found = json.loads(run("diff", str(before), str(after), "--json").stdout)
    assert found == replica.api("GET", "/diff", params={"from": before, "to": after}).json()
    run("diff", str(before), str(after + 1000), code=FAILED)


def test_a_long_diff_is_followed_to_its_end(run: Run, replica: Replica, many: list[str]) -> None:
    found = json.loads(run("diff", "0", "--json").stdout)
    assert set(many) <= {one["name"] for one in found["records"]}
    assert (len(found["records"]), found["nextCursor"]) == (found["recordCount"], None)
    shown = run("diff", "0").stdout
    assert sum(line.strip().startswith("+ service many-") for line in shown.splitlines()) == len(many)


def test_rollback_makes_records_what_they_were(run: Run, replica: Replica) -> None:
    run("set", "service", "rolled", "--probability", "0.5")
    before = str(newest_revision(replica))
    run("set", "service", "rolled", "--probability", "0.25")
    changed = newest_revision(replica)

    refused = run("rollback", before, code=USAGE)
    assert "--yes" in refused.stderr
    assert "--json" in run("rollback", before, "--json", code=USAGE).stderr
    shown = run("rollback", before, "--dry-run", code=PENDING).stdout
    assert "rolled: probability 0.25 -> probability 0.5" in shown
    assert json.loads(run("rollback", before, "--dry-run", "--json", code=PENDING).stdout)["dryRun"]
    assert (newest_revision(replica), replica.rate("rolled")) == (changed, 0.25)

    done = json.loads(run("rollback", before, "--yes", "--reason", "not what we meant", "--json").stdout)
    assert (done["revision"], done["changed"], replica.rate("rolled")) == (changed + 1, 1, 0.5)
    assert replica.api("GET", "/changes", params={"limit": 1}).json()["changes"][0]["reason"] == "not what we meant"
    nothing = f"Nothing to do: every record but boosts is as it was at revision {before}.\n"
    assert run("rollback", before, "--yes").stdout == nothing
    assert run("rollback", before, "--dry-run").stdout == nothing
    assert newest_revision(replica) == changed + 1
    assert "there is no revision" in run("rollback", "999999", "--yes", code=FAILED).stderr


def test_on_a_terminal_rollback_shows_the_effect_and_asks(run: Run, replica: Replica) -> None:
    run("set", "service", "asked", "--probability", "0.5")
    before = str(newest_revision(replica))
    run("set", "service", "asked", "--probability", "0.25")
    shown = on_terminal(replica, "rollback", before, typed="n\n", code=FAILED)
    assert "asked: probability 0.25 -> probability 0.5" in shown
    assert "?" in shown
    assert replica.rate("asked") == 0.25
    on_terminal(replica, "rollback", before, typed="y\n")
    assert replica.rate("asked") == 0.5


def test_rollback_tells_the_boosts_that_it_leaves_alone(tmp_path: Path) -> None:
    with Replica(tmp_path) as replica:
        run = runner(replica)
        run("set", "service", "boosted", "--probability", "0.5")
        run("set", "service", "boosted", "--probability", "0.25")
        run("boost", "boosted", "--probability", "1", "--for", "1h")
        ends = json.loads(run("get", "boost", "boosted", "--json").stdout)["endsAt"][:19]
        told = f"1 boost stays as it is: boosted until {ends}Z; `tracing-config delete boost boosted` ends it"
        assert lines(run("rollback", "1", "--dry-run", code=PENDING))[-1] == told
        assert told in on_terminal(replica, "rollback", "1", typed="n\n", code=FAILED)
        assert lines(run("rollback", "1", "--yes"))[-1] == told
        assert lines(run("rollback", "1", "--yes"))[1:] == [told]
        for name in ("b", "c", "d"):
            run("boost", name, "--probability", "1", "--for", "2h")
        (said,) = lines(run("rollback", "1", "--yes"))[1:]
        assert said.startswith("4 boosts stay as they are: b until ")
        assert said.count(" until ") == 3
        assert " and 1 more; " in said
        json.loads(run("rollback", "1", "--yes", "--json").stdout)
        json.loads(run("rollback", "0", "--dry-run", "--json", code=PENDING).stdout)


@pytest.mark.parametrize("command", ["rollback", "apply"])
def test_what_changed_while_the_question_stood_is_shown_and_asked_again(
    run: Run, replica: Replica, tmp_path: Path, command: str
) -> None:
    name = f"raced-{command}"
    run("set", "service", name, "--probability", "0.5")
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"services": {name: {"samplingStrategy": {"type": "probabilistic", "param": 0.5}}}}))
    before = str(newest_revision(replica))
    arguments = {"rollback": (before,), "apply": ("-f", str(file), "--owner", "racing")}[command]
    run("set", "service", name, "--probability", "0.25")
    with Terminal(replica, command, *arguments) as terminal:
        assert "probability 0.25 -> probability 0.5" in terminal.until("? [y/N]:")
        run("set", "service", name, "--probability", "0.75")
        terminal.type("y\n")
        assert "it was changed meanwhile; this is what would change now:" in terminal.until(
            "probability 0.75 -> probability 0.5"
        )
        terminal.until("? [y/N]:")
        assert replica.rate(name) == 0.75
        # A boost of another service is a revision too, and changes nothing of what was shown.
        run("boost", f"{name}-elsewhere", "--probability", "1", "--for", "1h")
        terminal.type("y\n")
        assert "meanwhile" not in terminal.end()
    assert replica.rate(name) == 0.5


def test_there_is_nothing_to_accept_while_the_store_is_followed(run: Run) -> None:
    assert "nothing to accept" in run("store", "accept", "--yes", code=FAILED).stderr
    assert "--yes" in run("store", "accept", code=USAGE).stderr


async def test_another_store_is_shown_and_accepted_on_a_terminal(tmp_path: Path, postgres_url: str) -> None:
    with Replica(tmp_path, TRACING_CONFIG_DATABASE_URL=postgres_url) as replica:
        assert replica.put_rate("a", 0.5).status_code == 200
        ours = details(replica)["storeId"]
        await empty(postgres_url)
        other = await fill(PostgresStore(postgres_url), 0.75)
        await eventually(lambda: details(replica).get("otherStoreId") == other)
        shown = on_terminal(replica, "store", "accept", typed="y\n")
        assert ours in shown
        assert other in shown
        assert (details(replica)["storeId"], replica.rate("a")) == (other, 0.75)

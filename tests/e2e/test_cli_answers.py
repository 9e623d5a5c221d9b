"""``tracing-config explain``, ``poll`` and ``boost``: what a service gets, and why."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.command_line import FAILED, USAGE, Run, closed_port, lines, runner
from tests.e2e.replica import Replica


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    with Replica(tmp_path_factory.mktemp("cli")) as replica:
        yield replica


@pytest.fixture
def run(replica: Replica) -> Run:
    return runner(replica)


def test_explain_tells_the_winner_first_then_why_others_lost(run: Run, replica: Replica) -> None:
    run("set", "policy", "why-low", "--pattern", "why-*", "--probability", "0.1", "--priority", "1")
    run("set", "policy", "why-high", "--pattern", "why-*", "--probability", "0.2", "--priority", "2")
    run("set", "policy", "why-operations", "--pattern", "why-*", "--operation", "GET /why=0")
    run("set", "service", "why-me", "--probability", "0.75", "--disabled")
    shown = lines(run("explain", "why-me"))
    assert shown[0].startswith("why-me gets probability 0.2")
    assert shown[0].endswith("from policy why-high")
    outcomes = [line.split()[0] for line in shown if line.startswith(("wins", "loses"))]
    assert outcomes.count("wins") == 1
    assert len(outcomes) >= 4
    assert any("its record" in line and "disabled" in line for line in shown)
    assert any("policy why-low (why-*, priority 1)" in line and "priority 1 against 2" in line for line in shown)
    assert any("GET /why" in line and "why-operations" in line for line in shown)
    assert any(line.startswith("warning: ") for line in shown)


def test_explain_tells_when_the_answer_changes_by_itself(run: Run) -> None:
    run("set", "policy", "later", "--pattern", "later-*", "--probability", "1", "--starts", "2099-01-01T00:00:00Z")
    assert "2099-01-01T00:00:00Z" in run("explain", "later-x").stdout


def test_explain_speaks_of_one_operation(run: Run) -> None:
    run("set", "service", "operated", "--probability", "0.5", "--operation", "GET /health=0.125")
    shown = run("explain", "operated", "--operation", "GET /health").stdout
    assert re.search(r"^operation GET /health gets probability 0\.125.*its record", shown, re.MULTILINE)
    run("set", "service", "operated", "--rate-limit", "5")
    assert "rate limit" in run("explain", "operated", "--operation", "GET /health").stdout


def test_explain_json_is_what_the_api_answers(run: Run, replica: Replica) -> None:
    found = json.loads(run("explain", "never heard of", "--operation", "x", "--json").stdout)
    expected = replica.api("GET", "/services/never%20heard%20of/explain", params={"operation": "x"}).json()
    assert {**found, "at": ""} == {**expected, "at": ""}


@pytest.mark.parametrize("name", ["polled-p", "polled-r", "polled-o", "polled-zero"])
def test_poll_prints_what_both_protocols_answer(run: Run, replica: Replica, name: str) -> None:
    options: dict[str, tuple[str, ...]] = {
        "polled-p": ("--probability", "0.5"),
        "polled-r": ("--rate-limit", "5"),
        "polled-o": ("--probability", "0.25", "--lower-bound", "2", "--operation", "GET /=0"),
        "polled-zero": ("--probability", "0"),
    }
    run("set", "service", name, *options[name])
    over_grpc = run("poll", name, "--at", replica.grpc_address).stdout
    over_http = run("poll", name, "--http", "--at", f"{replica.http_url}/sampling").stdout
    assert over_grpc == over_http
    for text in {"polled-r": ["rate limit 5/s"], "polled-zero": ["probability 0"]}.get(name, ["probability 0."]):
        assert text in over_grpc
    if name == "polled-o":
        assert "lower bound 2/s" in over_grpc
        assert re.search(r"^ *GET / +0$", over_grpc, re.MULTILINE)
    answer = json.loads(run("poll", name, "--http", "--at", replica.http_url, "--json").stdout)
    assert answer == replica.poll_http(name)
    assert (
        json.loads(run("poll", name, "--at", replica.grpc_address, "--json").stdout)["strategyType"] == answer["strategyType"]
    )


def test_a_poll_that_nobody_answers_names_the_address(run: Run) -> None:
    address = f"127.0.0.1:{closed_port()}"
    assert address in run("poll", "a", "--at", address, code=FAILED).stderr
    assert address in run("poll", "a", "--http", "--at", f"http://{address}", code=FAILED).stderr


@pytest.mark.parametrize(
    "address", ["localhost", "localhost:", "localhost:0", "localhost:99999", "localhost:x", ":14250", "::1:14250", "[::1", ""]
)
def test_an_address_to_poll_has_a_host_and_a_port(run: Run, address: str) -> None:
    for http in ((), ("--http",)):
        refused = run("poll", "a", "--at", address, *http, code=USAGE).stderr
        assert f"--at: '{address}' must be a host and a port" in refused


def test_a_url_to_poll_goes_with_http_and_needs_no_port(run: Run, replica: Replica) -> None:
    assert "--http" in run("poll", "a", "--at", replica.http_url, code=USAGE).stderr
    assert "--at" in run("poll", "a", "--at", f"{replica.grpc_address}/sampling", code=USAGE).stderr
    run("poll", "a", "--http", "--at", replica.http_url.removeprefix("http://"))
    assert "http://localhost:70000" in run("poll", "a", "--http", "--at", "http://localhost:70000", code=USAGE).stderr
    assert "cannot be polled" in run("poll", "a", "--http", "--at", "http://localhost.invalid", code=FAILED).stderr


def test_the_empty_name_can_be_polled_and_is_shown(run: Run, replica: Replica) -> None:
    assert run("poll", "", "--at", replica.grpc_address).stdout.startswith("(no name) gets probability ")


def test_a_boost_is_set_shown_and_ended(run: Run, replica: Replica) -> None:
    said = run("boost", "boosted", "--probability", "1", "--for", "30m", "--reason", "incident 4711").stdout
    boost = replica.api("GET", "/boosts/boosted").json()
    ends = datetime.fromisoformat(boost["endsAt"])
    assert timedelta(minutes=29) < ends - datetime.now(UTC) <= timedelta(minutes=30, seconds=2)
    assert boost["endsAt"][:19] in said
    assert "incident 4711" in run("get", "boost", "boosted").stdout
    assert "incident 4711" in run("list", "boosts").stdout
    assert "a boost" in run("explain", "boosted").stdout
    assert replica.rate("boosted") == 1
    run("delete", "boost", "boosted")
    assert replica.rate("boosted") == 0.001


def test_a_boost_until_an_instant(run: Run, replica: Replica) -> None:
    until = (datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0)
    run("boost", "boosted-until", "--rate-limit", "9", "--until", until.isoformat(), "--json")
    assert datetime.fromisoformat(replica.api("GET", "/boosts/boosted-until").json()["endsAt"]) == until


def test_a_boost_needs_an_end_and_a_strategy(run: Run) -> None:
    run("boost", "a", "--probability", "1", code=USAGE)
    run("boost", "a", "--probability", "1", "--for", "1m", "--until", "2099-01-01T00:00:00Z", code=USAGE)
    run("boost", "a", "--for", "1m", code=USAGE)
    assert "duration" in run("boost", "a", "--probability", "1", "--for", "soon", code=FAILED).stderr

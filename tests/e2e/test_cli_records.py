"""``tracing-config get``, ``set``, ``delete`` and ``list``."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.command_line import DONE, FAILED, PENDING, USAGE, Run, lines, newest_revision, on_terminal, runner
from tests.e2e.replica import Replica, strategies

ODD_NAMES = ["a/b", "with space", "名前 ünïcode", "50%2F", "a?b#c&d=e", "[bold]x[/bold]", "\N{ROCKET}", ".hidden", "a" * 1024]


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    folder = tmp_path_factory.mktemp("cli")
    file = folder / "strategies.json"
    file.write_text(strategies(**{"from-file": 0.25, "covered": 0.125}))
    with Replica(folder, TRACING_CONFIG_STRATEGIES_FILE=str(file)) as replica:
        yield replica


@pytest.fixture
def run(replica: Replica) -> Run:
    return runner(replica)


def test_set_writes_what_the_next_poll_answers(run: Run, replica: Replica) -> None:
    said = run("set", "service", "simple", "--probability", "0.05", "--reason", "why not").stdout
    assert "simple" in said
    assert "probability 0.05" in said
    assert replica.rate("simple") == 0.05
    assert replica.api("GET", "/changes", params={"name": "simple"}).json()["changes"][0]["reason"] == "why not"


def test_get_json_is_what_the_api_answers(run: Run, replica: Replica) -> None:
    run("set", "service", "as-api", "--probability", "0.5", "--operation", "GET /=0")
    run("set", "policy", "as-api", "--pattern", "as-api-*", "--rate-limit", "3")
    run("set", "default", "--probability", "0.01")
    run("boost", "as-api", "--probability", "1", "--for", "1h")
    for arguments, path in (
        (("service", "as-api"), "/services/as-api"),
        (("service", "from-file"), "/services/from-file"),
        (("policy", "as-api"), "/policies/as-api"),
        (("boost", "as-api"), "/boosts/as-api"),
        (("default",), "/default"),
    ):
        assert json.loads(run("get", *arguments, "--json").stdout) == replica.api("GET", path).json()


def test_get_tells_every_member_in_lines_and_the_tag_for_if_match(run: Run, replica: Replica) -> None:
    run("set", "service", "told", "--rate-limit", "5", "--description", "two\nlines", "--disabled")
    told = [line.split(maxsplit=1) for line in lines(run("get", "service", "told"))]
    shown = dict(told)
    assert len(shown) == len(told)  # Each once.
    assert shown["strategy"] == "rate limit 5/s"
    assert shown["description"] == r"two\nlines"
    assert shown["enabled"] in ("no", "false")
    assert shown["etag"] == replica.api("GET", "/services/told").headers["ETag"].strip('"')


def test_set_replaces_the_whole_record(run: Run, replica: Replica) -> None:
    run("set", "service", "whole", "--probability", "0.5", "--operation", "GET /=0", "--description", "x", "--disabled")
    run("set", "service", "whole", "--probability", "0.25")
    record = replica.api("GET", "/services/whole").json()
    assert (record["operationStrategies"], record["description"], record["enabled"]) == ([], "", True)


def test_what_set_prints_is_what_is_in_force_not_what_was_written(run: Run, replica: Replica) -> None:
    run("boost", "stood-above", "--probability", "1", "--for", "1h")
    said = run("set", "service", "stood-above", "--probability", "0.5").stdout
    assert "stood-above gets probability 1 from a boost" in said
    assert replica.rate("stood-above") == 1


def test_set_warns_of_what_clients_will_not_do(run: Run) -> None:
    said = run("set", "service", "limited", "--rate-limit", "5").stdout
    assert "OpenTelemetry JavaScript" in said
    assert "warning: OpenTelemetry JavaScript: " in run("explain", "limited").stdout


def test_clients_that_nobody_maintains_share_one_line_of_explain_and_none_of_set(run: Run, replica: Replica) -> None:
    said = run("set", "service", "health-out", "--probability", "0.5", "--operation", "GET /health=0").stdout
    assert "honoured" not in said
    (warned,) = [line for line in lines(run("explain", "health-out")) if line.startswith("warning: ")]
    names = "Jaeger Go client, Jaeger Java client, Jaeger Python client, Jaeger Node.js client"
    assert warned.endswith(f"no longer maintained, some do not honour all of it: {names}; --json says what")
    assert len(json.loads(run("explain", "health-out", "--json").stdout)["warnings"]) == 4


def test_every_option_of_a_policy_arrives(run: Run, replica: Replica) -> None:
    run(
        *("set", "policy", "full", "--pattern", "full-*", "--priority", "-3", "--probability", "0.5", "--lower-bound", "2"),
        *("--operation", "a=b=0.25", "--operation", "GET /health=0", "--starts", "2026-12-01T00:00:00+01:00"),
        *("--ends", "2027-01-01T00:00:00Z", "--description", "d", "--disabled"),
    )
    record = replica.api("GET", "/policies/full").json()
    assert {key: record[key] for key in ("servicePattern", "priority", "enabled", "description")} == {
        "servicePattern": "full-*",
        "priority": -3,
        "enabled": False,
        "description": "d",
    }
    strategy = record["samplingStrategy"]
    assert (strategy["type"], strategy["param"], strategy["lowerBoundTracesPerSecond"]) == ("probabilistic", 0.5, 2)
    assert {one["operation"]: one["param"] for one in record["operationStrategies"]} == {"a=b": 0.25, "GET /health": 0}
    starts, ends = (datetime.fromisoformat(record[member]) for member in ("startsAt", "endsAt"))
    assert (starts, ends) == (datetime(2026, 11, 30, 23, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


def test_a_record_comes_from_a_file_or_the_standard_input_and_options_lie_above(
    run: Run, replica: Replica, tmp_path: Path
) -> None:
    file = tmp_path / "record.yaml"
    file.write_text("samplingStrategy: {type: probabilistic, param: 0.5}\ndescription: yes\n")
    run("set", "service", "from-yaml", "-f", str(file), "--probability", "0.25")
    record = replica.api("GET", "/services/from-yaml").json()
    assert (record["samplingStrategy"]["param"], record["description"]) == (0.25, "yes")
    text = json.dumps({"servicePattern": "x", "samplingStrategy": {"type": "ratelimiting", "param": 7}})
    run("set", "policy", "from-stdin", "--file", "-", typed=text)
    assert replica.api("GET", "/policies/from-stdin").json()["samplingStrategy"]["param"] == 7


def test_what_get_prints_as_json_can_be_set_again(run: Run, replica: Replica) -> None:
    run("set", "policy", "round", "--pattern", "round-*", "--rate-limit", "5", "--operation", "GET /=0", code=FAILED)
    run("set", "policy", "round", "--pattern", "round-*", "--probability", "0.5", "--operation", "GET /=0", "--priority", "7")
    before = run("get", "policy", "round", "--json").stdout
    run("set", "policy", "round", "-f", "-", typed=before)
    assert run("get", "policy", "round", "--json").stdout == before


def test_an_endpoint_of_an_exporter_goes_through_file_export_and_import(run: Run, replica: Replica, tmp_path: Path) -> None:
    file = tmp_path / "record.yaml"
    file.write_text("exportConfig: {jaeger: {enabled: true, endpoint: 'http://own:4318'}, zipkin: {enabled: false}}\n")
    run("set", "service", "exporting", "-f", str(file))
    run("set", "service", "exporting", "--enabled")
    assert "jaeger on to http://own:4318, zipkin off" in run("get", "service", "exporting").stdout
    exported = run("export").stdout
    assert json.loads(exported)["services"]["exporting"]["exportConfig"]["jaeger"]["endpoint"] == "http://own:4318"
    run("delete", "service", "exporting")
    (tmp_path / "all.json").write_text(exported)
    run("import", str(tmp_path / "all.json"))
    assert "to http://own:4318" in run("get", "service", "exporting").stdout
    file.write_text("services: {exporting: {exportConfig: {zipkin: {enabled: true, endpoint: zipkin}}}}\n")
    told = run("import", str(file), code=FAILED).stderr
    assert 'services["exporting"].exportConfig.zipkin.endpoint' in told


def test_the_default_is_set_and_reset(run: Run, replica: Replica) -> None:
    run("set", "default", "--probability", "0.75", "--operation", "GET /health=0")
    assert replica.poll_http("nobody-knows")["probabilisticSampling"]["samplingRate"] == 0.75
    assert "probability 0.75" in run("get", "default").stdout
    run("delete", "default")
    assert replica.rate("nobody-knows") == 0.001


def test_a_dry_run_ends_with_3_changes_nothing_and_shows_records_and_answers(run: Run, replica: Replica) -> None:
    run("set", "service", "dry", "--probability", "0.5")
    before = newest_revision(replica)
    shown = run("set", "service", "dry", "--probability", "0.25", "--dry-run", code=PENDING).stdout
    assert re.search(r"^ *- .*0\.5", shown, re.MULTILINE)
    assert re.search(r"^ *\+ .*0\.25", shown, re.MULTILINE)
    assert "dry: probability 0.5 -> probability 0.25" in shown
    found = json.loads(run("set", "service", "dry", "--probability", "0.25", "--dry-run", "--json", code=PENDING).stdout)
    assert (found["recordCount"], found["effect"]["changed"]) == (1, 1)
    run("delete", "service", "dry", "--dry-run", code=PENDING)
    run("boost", "dry", "--probability", "1", "--for", "1m", "--dry-run", code=PENDING)
    run("set", "policy", "dry", "--pattern", "*", "--probability", "1", "--dry-run", code=PENDING)
    run("set", "default", "--probability", "1", "--dry-run", code=PENDING)
    assert run("set", "service", "dry", "--probability", "0.5", "--dry-run").stdout == "Nothing would change.\n"
    assert (newest_revision(replica), replica.rate("dry")) == (before, 0.5)


def test_a_stale_tag_changes_nothing_and_tells_the_current_one(run: Run, replica: Replica) -> None:
    run("set", "service", "tagged", "--probability", "0.5")
    old = replica.api("GET", "/services/tagged").headers["ETag"].strip('"')
    run("set", "service", "tagged", "--probability", "0.25", "--if-match", old)
    current = replica.api("GET", "/services/tagged").headers["ETag"].strip('"')
    refused = run("set", "service", "tagged", "--probability", "0.125", "--if-match", f'"{old}"', code=FAILED)
    assert current in refused.stderr
    assert "--if-match" in refused.stderr
    assert refused.stdout == ""
    assert replica.rate("tagged") == 0.25
    run("set", "service", "not-there", "--probability", "0.125", "--if-match", "*", code=FAILED)
    assert "is no etag" in run("set", "service", "tagged", "--probability", "0.125", "--if-match", "1-abc", code=USAGE).stderr


def test_nothing_is_deleted_whose_tag_is_stale(run: Run) -> None:
    def tag(*record: str) -> str:
        (found,) = re.findall(r"^etag +(\S+)$", run("get", *record).stdout, re.MULTILINE)
        return str(found)

    for record, write in (
        (("service", "going"), ("set", "service", "going", "--probability")),
        (("policy", "going"), ("set", "policy", "going", "--pattern", "going", "--probability")),
        (("default",), ("set", "default", "--probability")),
        (("boost", "going"), ("boost", "going", "--for", "1h", "--probability")),
    ):
        run(*write, "0.5")
        old = tag(*record)
        run(*write, "0.25")
        current = tag(*record)
        assert current in run("delete", *record, "--if-match", old, code=FAILED).stderr
        run("get", *record)
        run("delete", *record, "--if-match", current)


def test_delete_takes_records_away_and_says_what_is_uncovered(run: Run, replica: Replica) -> None:
    run("set", "service", "covered", "--probability", "0.5")
    assert "strategies file" in run("delete", "service", "covered", "--reason", "gone").stdout
    assert replica.rate("covered") == 0.125
    assert replica.api("GET", "/changes", params={"name": "covered"}).json()["changes"][0]["reason"] == "gone"
    refused = run("delete", "service", "covered", code=FAILED)
    assert "there is no service 'covered'" in refused.stderr
    run("set", "policy", "brief", "--pattern", "brief", "--probability", "1")
    run("delete", "policy", "brief")
    run("get", "policy", "brief", code=FAILED)


def test_a_record_of_another_owner_is_left_alone_unless_it_is_taken_over(run: Run, replica: Replica) -> None:
    document = {"services": {"owned": {"samplingStrategy": {"type": "probabilistic", "param": 0.5}}}}
    assert replica.api("POST", "/import", params={"owner": "team-a"}, json=document).status_code == 200
    refused = run("set", "service", "owned", "--probability", "0.25", code=FAILED)
    assert "team-a" in refused.stderr
    assert "--takeover" in refused.stderr
    run("delete", "service", "owned", code=FAILED)
    assert replica.rate("owned") == 0.5
    run("set", "service", "owned", "--probability", "0.25", "--takeover")
    assert replica.rate("owned") == 0.25


def test_a_refused_value_names_its_field_and_the_cure(run: Run, replica: Replica) -> None:
    for arguments, field in (
        (("--probability", "2"), "samplingStrategy.param"),
        (("--rate-limit", "0.5"), "samplingStrategy.param"),
        (("--rate-limit", "5", "--operation", "x=0"), "operationStrategies"),
    ):
        refused = run("set", "service", "refused", *arguments, code=FAILED)
        assert field in refused.stderr
        assert refused.stdout == ""
    assert replica.api("GET", "/services/refused").status_code == 404
    refused = run("set", "policy", "refused", "--pattern", "x", "--probability", "1", "--starts", "tomorrow", code=FAILED)
    assert refused.stderr == "tracing-config: startsAt: must be an RFC 3339 instant with its zone, like 2026-12-01T00:00:00Z\n"


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_that_a_service_can_have_can_be_given(run: Run, replica: Replica, name: str) -> None:
    run("set", "service", name, "--probability", "0.5")
    assert json.loads(run("get", "service", name, "--json").stdout)["service"] == name
    assert json.loads(run("explain", name, "--json").stdout)["service"] == name
    assert json.loads(run("list", "services", "--name", name, "--json").stdout)["services"][0]["service"] == name
    assert name in run("list", "services", "--name", name).stdout
    assert replica.rate(name) == 0.5
    run("delete", "service", name)


def test_a_name_that_begins_with_a_dash_comes_after_two_dashes(run: Run) -> None:
    run("set", "service", "--probability", "0.5", "--", "--odd")
    assert "0.5" in run("get", "service", "--", "--odd").stdout
    run("delete", "service", "--", "--odd")


def test_bytes_that_are_no_text_name_no_record_but_can_be_polled_and_explained(run: Run, replica: Replica) -> None:
    name = "\udcff"
    for arguments in (("set", "service", name, "--probability", "1"), ("get", "service", name), ("delete", "boost", name)):
        assert "UTF-8" in run(*arguments, code=USAGE).stderr
    assert replica.api("GET", "/services", params={"name": "%FF"}).json()["services"] == []
    run("explain", name)
    run("poll", name, "--http", "--at", replica.http_url)
    run("poll", name, "--at", replica.grpc_address, code=USAGE)


def test_control_characters_reach_no_terminal(run: Run, replica: Replica) -> None:
    evil = "evil\x1b[31m\u202e\x9b"
    poll = ("poll", evil, "--at", replica.grpc_address)
    for arguments in (
        ("explain", evil),
        ("explain", evil, "--json"),
        ("get", "service", evil),
        poll,
        (*poll[:3], "127.0.0.1:1"),
    ):
        result = run(*arguments, code=FAILED if arguments[0] == "get" or "127.0.0.1:1" in arguments else DONE)
        assert not any(character in result.output for character in "\x1b\u202e\x9b")
    assert json.loads(run("explain", evil, "--json").stdout)["service"] == evil
    run("set", "service", "described", "--probability", "1", "--description", evil, "--reason", evil)
    for arguments in (("get", "service", "described"), ("history", "--limit", "1"), ("diff", "1")):
        assert not any(character in run(*arguments).output for character in "\x1b\u202e\x9b")


@pytest.fixture(scope="module")
def many(replica: Replica) -> list[str]:
    """More services than one page has."""
    names = [f"many-{number:04}" for number in range(1203)]
    record = {"samplingStrategy": {"type": "probabilistic", "param": 0.5}}
    document = {"services": dict.fromkeys(names, record)}
    assert replica.api("POST", "/import", json=document).status_code == 200
    return names


def test_a_list_is_followed_to_its_end(run: Run, many: list[str]) -> None:
    found = json.loads(run("list", "services", "--name", "many-", "--json").stdout)
    assert [one["service"] for one in found["services"]] == many
    assert found["nextCursor"] is None
    listed = lines(run("list", "services", "--name", "many-"))
    assert [line.split()[0] for line in listed[1:]] == many


def test_a_limit_bounds_a_list(run: Run, many: list[str]) -> None:
    for limit in (1, 7, 1001):
        found = json.loads(run("list", "services", "--name", "many-", "--limit", str(limit), "--json").stdout)
        assert [one["service"] for one in found["services"]] == many[:limit]
    run("list", "services", "--limit", "0", code=USAGE)


def test_lists_take_the_filters_of_the_api(run: Run, replica: Replica) -> None:
    def names(kind: str, member: str, *filters: str) -> set[str]:
        return {one[member] for one in json.loads(run("list", kind, *filters, "--json").stdout)[kind]}

    run("set", "service", "sift-on", "--rate-limit", "5")
    run("set", "service", "sift-off", "--disabled", "--probability", "1")
    document = {"services": {"sift-owned": {"operationStrategies": [{"operation": "x", "param": 0}]}}}
    assert replica.api("POST", "/import", params={"owner": "sifters"}, json=document).status_code == 200
    sift = ("--name", "sift-")
    assert names("services", "service", *sift) == {"sift-on", "sift-off", "sift-owned"}
    assert names("services", "service", *sift, "--type", "ratelimiting") == {"sift-on"}
    assert names("services", "service", *sift, "--type", "operations") == {"sift-owned"}
    assert names("services", "service", *sift, "--owner", "sifters") == {"sift-owned"}
    assert names("services", "service", *sift, "--owner", "") == {"sift-on", "sift-off"}
    assert names("services", "service", *sift, "--disabled") == {"sift-off"}
    assert names("services", "service", "--source", "file") == {"from-file", "covered"}
    run("set", "policy", "sift-policy", "--pattern", "never-*", "--probability", "1", "--disabled")
    assert names("policies", "name", *sift) == {"sift-policy"}
    assert names("policies", "name", *sift, "--enabled") == set()
    run("boost", "sift-boost", "--probability", "1", "--for", "1h")
    assert names("boosts", "service", *sift) == {"sift-boost"}


def test_piped_output_is_plain_aligned_and_the_same_each_time(run: Run) -> None:
    run("set", "service", "piped-a", "--probability", "0.5")
    run("set", "service", "piped-longer-name", "--rate-limit", "5")
    first = run("list", "services", "--name", "piped-").stdout
    heading, *rows = first.splitlines()
    assert [row.index("p", 1) > 0 and row.split()[0] for row in rows] == ["piped-a", "piped-longer-name"]
    column = heading.index("STRATEGY")
    assert [row[column:].split("  ")[0] for row in rows] == ["probability 0.5", "rate limit 5/s"]
    assert "\t" not in first
    assert "\x1b" not in first
    assert run("list", "services", "--name", "piped-").stdout == first


def test_a_terminal_sees_the_same_names_in_a_table_with_colours(run: Run, replica: Replica) -> None:
    run("set", "service", "coloured", "--probability", "0.5")
    shown = on_terminal(replica, "list", "services", "--name", "coloured")
    assert "\x1b[1m" in shown
    assert "coloured" in shown
    assert "probability 0.5" in shown


def test_a_list_of_nothing_prints_nothing(run: Run) -> None:
    result = run("list", "services", "--name", "there-is-no-such-name")
    assert len(lines(result)) <= 1
    assert json.loads(run("list", "services", "--name", "there-is-no-such-name", "--json").stdout)["services"] == []

"""``export``, ``import``, ``apply`` and ``validate`` of the command line, against a server."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command_line import FAILED, PENDING, USAGE, Run, lines, newest_revision, on_terminal, runner
from tests.e2e.replica import Replica, strategies
from tests.waiting import eventually

ODD_NAMES = ["a/b c", "größe-✓", '"quoted"', "-dash", "tab\\tescaped"]


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    with Replica(tmp_path_factory.mktemp("documents")) as replica:
        yield replica


@pytest.fixture
def run(replica: Replica) -> Run:
    return runner(replica)


def services(**rates: float) -> dict[str, Any]:
    return {name: {"samplingStrategy": {"type": "probabilistic", "param": rate}} for name, rate in rates.items()}


def write(path: Path, document: object) -> str:
    path.write_text(json.dumps(document))
    return str(path)


def test_an_export_is_what_an_import_takes(run: Run, replica: Replica, tmp_path: Path) -> None:
    file = write(tmp_path / "in.json", {"services": services(**dict.fromkeys(ODD_NAMES, 0.5))})
    revision = newest_revision(replica) + 1
    said = lines(run("import", file, "--reason", "moved"))
    assert said == [
        f"{len(ODD_NAMES)} records written, 0 deleted, 0 unchanged (revision {revision})",
        f"`tracing-config rollback {revision - 1}` takes it back.",
    ]
    exported = tmp_path / "out.json"
    told = run("export", "--output", str(exported))
    assert (told.stdout, told.stderr) == ("", f"revision {revision} is in {exported}\n")
    document = json.loads(exported.read_text())
    assert set(ODD_NAMES) <= set(document["services"])
    assert json.loads(run("export").stdout) == document == json.loads(run("export", "--json").stdout)
    assert "checkout" not in json.loads(run("export", "--revision", "0").stdout)["services"]
    assert lines(run("import", str(exported))) == [f"Nothing to do: everything is so already (revision {revision})."]
    assert "0 warnings" in run("validate", str(exported)).stdout


def test_a_file_that_cannot_be_written_is_told(run: Run, tmp_path: Path) -> None:
    assert "No such file" in run("export", "--output", str(tmp_path / "missing" / "x"), code=FAILED).stderr


def test_an_import_says_what_it_deletes_where_it_replaces(run: Run, replica: Replica, tmp_path: Path) -> None:
    options = ("--mode", "replace", "--owner", "replacing")
    run("import", write(tmp_path / "a.json", {"services": services(one=0.5, two=0.5)}), *options)
    second = write(tmp_path / "b.json", {"services": services(two=0.25)})
    shown = run("import", second, *options, "--dry-run", code=PENDING).stdout
    assert "- service one" in shown
    assert "two: probability 0.5 -> probability 0.25" in shown
    assert lines(run("import", second, *options)) == [
        f"1 record written, 1 deleted, 0 unchanged (revision {newest_revision(replica)})"
    ]
    result = json.loads(run("import", second, *options, "--json").stdout)
    assert (result["written"], result["deleted"], result["unchanged"]) == (0, 0, 1)
    run("import", second, *options, "--dry-run")


def test_a_strategies_file_is_taken_strictly_unless_lenient(run: Run, replica: Replica, tmp_path: Path) -> None:
    file = tmp_path / "strategies.json"
    file.write_text(strategies(lenient=7))
    place = "service_strategies[0].param: 7 is not a probability"
    refused = run("import", str(file), code=FAILED).stderr
    assert f"{file}: {place}" in refused
    assert "--lenient" in refused
    dry = run("import", str(file), "--lenient", "--dry-run", code=PENDING).stdout
    assert f"warning: {place}" in dry
    assert f"warning: {place}" in run("import", str(file), "--lenient").stdout
    assert replica.rate("lenient") == 1
    assert json.loads(run("import", str(file), "--lenient", "--dry-run", "--json").stdout)["warningCount"] == 1


def test_what_jaegers_format_cannot_say_is_told_beside_the_file(run: Run) -> None:
    run("set", "policy", "wild", "--pattern", "wild-*", "--probability", "0.5")
    exported = run("export", "--format", "jaeger")
    assert set(json.loads(exported.stdout)) == {"default_strategy", "service_strategies"}
    assert "not in the file: policy wild: " in exported.stderr
    whole = json.loads(run("export", "--format", "jaeger", "--json").stdout)
    assert "wild" in [one["name"] for one in whole["cannotExpress"]]
    assert run("validate", "-", typed=exported.stdout).exit_code == 0
    run("delete", "policy", "wild")


def test_a_document_comes_from_the_standard_input_too(run: Run, replica: Replica) -> None:
    text = "services: {piped: {samplingStrategy: {type: probabilistic, param: 0.5}}}"
    assert run("validate", "-", typed=text).stdout == "1 service, 0 policies, no default, 0 warnings\n"
    run("apply", "-f", "-", "--owner", "piped", "--yes", typed=text)
    assert replica.rate("piped") == 0.5
    run("import", "-", typed=json.dumps({"services": services(piped=0.25)}), code=FAILED)


def test_a_refused_document_names_each_field_and_changes_nothing(run: Run, replica: Replica, tmp_path: Path) -> None:
    file = write(tmp_path / "bad.json", {"services": services(one=7) | {"a b": {"x": 1}}})
    before = newest_revision(replica)
    refused = run("import", file, code=FAILED).stderr.splitlines()
    assert refused[1:] == [
        f'  {file}: services["one"].samplingStrategy.param: a probability is between 0 and 1, not 7.0',
        f'  {file}: services["a b"].x: is not known; remove it',
    ]
    missing = run("import", str(tmp_path / "missing.json"), code=FAILED).stderr
    assert missing.endswith("cannot be read: No such file or directory\n")
    (tmp_path / "no.json").write_text("{")
    assert "line 1" in run("import", str(tmp_path / "no.json"), code=FAILED).stderr
    assert newest_revision(replica) == before


def test_apply_asks_on_a_terminal_and_needs_a_yes_elsewhere(run: Run, replica: Replica, tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", {"services": services(asked=0.5)})
    apply = ("apply", "-f", file, "--owner", "asking")
    assert "--yes" in run(*apply, code=USAGE).stderr
    assert "--yes" in run(*apply, "--json", code=USAGE).stderr
    before = newest_revision(replica)
    refused = on_terminal(replica, *apply, typed="n\n", code=FAILED)
    assert "+ service asked" in refused
    assert newest_revision(replica) == before
    assert "1 record written" in on_terminal(replica, *apply, typed="y\n")
    assert replica.rate("asked") == 0.5
    assert run(*apply, "--yes").stdout == "Nothing would change.\n"
    run(*apply, "--dry-run")
    assert json.loads(run(*apply, "--yes", "--json").stdout)["unchanged"] == 1
    assert json.loads(run(*apply, "--dry-run", "--json").stdout)["recordCount"] == 0


def test_a_long_import_shows_its_upload_and_then_its_entries_on_a_terminal_only(
    run: Run, replica: Replica, tmp_path: Path
) -> None:
    many = services(**{f"many-{number:05}": 0.5 for number in range(20_000)})
    file = write(tmp_path / "many.json", {"services": many})
    shown = on_terminal(replica, "import", file, "--owner", "many")
    size = f"{Path(file).stat().st_size / 1e6:.1f}"
    assert f"{size} of {size} MB" in shown
    assert "of 20000 entries" in shown
    assert "committing" in shown
    piped = run("import", file, "--owner", "many")
    assert piped.stderr == ""
    assert lines(piped) == [f"Nothing to do: everything is so already (revision {newest_revision(replica)})."]


def test_without_a_file_validate_asks_the_server(run: Run, replica: Replica) -> None:
    head = replica.health()["components"]["catalog"]["details"]["point"]
    # The snapshot follows within seconds; until then it is a warning.
    asyncio.run(eventually(lambda: run("validate").stdout == f"valid, at {head}: 0 problems, 0 warnings\n"))
    report = json.loads(run("validate", "--json").stdout)
    assert (report["valid"], report["problems"], report["point"]) == (True, [], head)


def test_what_the_server_finds_is_listed_and_ends_with_1(tmp_path: Path) -> None:
    with Replica(tmp_path) as replica:
        run = runner(replica)
        run("set", "policy", "above", "--pattern", "*", "--probability", "1", "--priority", "9")
        run("set", "policy", "never", "--pattern", "*", "--probability", "0.5")
        warned = lines(run("validate"))
        assert warned[0].startswith("warning: ")
        assert any(line.startswith("  policy never") for line in warned)
        assert warned[-1].startswith("valid, at ")
        run("validate", "--strict", code=FAILED)
        run("set", "service", "edited", "--probability", "0.5")
        with sqlite3.connect(tmp_path / "tracing-config.db") as database:
            body = '{"samplingStrategy":{"type":"probabilistic","param":0.9}}'
            changed = database.execute("UPDATE tracing_configurations SET record = ? WHERE service_name = 'edited'", (body,))
            assert changed.rowcount == 1
        database.close()
        found = lines(run("validate", code=FAILED))
        assert found[0].startswith("problem: ")
        assert any(line.startswith("  service edited") for line in found)
        assert found[-1].startswith("not valid, at ")
        assert json.loads(run("validate", "--json", code=FAILED).stdout)["valid"] is False


@pytest.mark.parametrize("owner", ["", " ", "team ", "\tteam"])
def test_an_owner_that_no_variable_gave_prunes_nothing(run: Run, replica: Replica, tmp_path: Path, owner: str) -> None:
    run("set", "service", "by-hand", "--probability", "0.5")
    before = newest_revision(replica)
    file = write(tmp_path / "a.json", {"services": {}})
    for arguments in (
        ("apply", "-f", file, "--owner", owner, "--prune", "--yes"),
        ("apply", "-f", file, "--owner", owner, "--dry-run"),
        ("import", file, "--owner", owner, "--mode", "replace"),
    ):
        refused = run(*arguments, code=USAGE)
        assert "--owner" in refused.stderr
        assert refused.stdout == ""
    assert newest_revision(replica) == before
    assert replica.rate("by-hand") == 0.5

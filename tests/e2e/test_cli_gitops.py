"""Configuration from git: the workflow file's own lines, run as a CI system runs them, do what docs/gitops.md says."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from server.cli.commands import commands
from tests.e2e.command_line import DONE, FAILED, PENDING, Run, newest_revision, runner
from tests.e2e.replica import ROOT, Replica

WORKFLOW = yaml.safe_load((ROOT / "deploy/gitops/workflow.yaml").read_text())
GUIDE = (ROOT / "docs/gitops.md").read_text()

HALF = "{samplingStrategy: {type: probabilistic, param: 0.5}}"

_EXPRESSION = re.compile(r"\$\{\{ ([a-zA-Z_.]+) \}\}")


class Repository:
    """A git repository with a folder ``sampling``, and what the CI system of it knows."""

    def __init__(self, folder: Path, replica: Replica, tokens: dict[str, str]) -> None:
        self.folder, self.owner = folder, folder.name
        self._known = {
            "vars.TRACING_CONFIG_URL": replica.sidecar_url,
            "vars.TRACING_CONFIG_PACKAGE": "tracing-config",
            "github.event.repository.name": self.owner,
            "secrets.TRACING_CONFIG_PLAN_TOKEN": tokens["payments-plan"],
            "secrets.TRACING_CONFIG_APPLY_TOKEN": tokens["payments-apply"],
        }
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
        ran = subprocess.run(["git", *identity, *arguments], cwd=self.folder, capture_output=True, text=True, check=True)
        return ran.stdout.strip()

    def commit(self, **files: str | None) -> str:
        """Write files of the folder ``sampling`` (None removes one), and commit them; the commit's id."""
        for name, text in files.items():
            path = self.folder / "sampling" / f"{name}.yaml"
            path.parent.mkdir(exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "change")
        return self.git("rev-parse", "HEAD")

    def run(self, event: str, *, step: str | None = None, **secrets: str) -> subprocess.CompletedProcess[str]:
        """Run the lines of the jobs that an event starts, as the CI system's shell would: the last one's outcome."""
        jobs = [job for job in WORKFLOW["jobs"].values() if job["if"] == f"github.event_name == '{event}'"]
        assert len(jobs) == 1
        ran = None
        for each in jobs[0]["steps"]:
            if "run" not in each or (each["name"] == "Install") != (step == "Install"):
                continue
            ran = subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", each["run"]],
                cwd=self.folder,
                env=self._environment(each, secrets),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        assert ran is not None
        return ran

    def _environment(self, step: dict[str, Any], secrets: dict[str, str]) -> dict[str, str]:
        known = {**self._known, **{f"secrets.{name}": value for name, value in secrets.items()}}
        given = {**WORKFLOW["env"], **step.get("env", {})}
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "PIP_NO_INDEX": "1",
            "GITHUB_SHA": self.git("rev-parse", "HEAD"),
            **{name: _EXPRESSION.sub(lambda found: known[found[1]], value) for name, value in given.items()},
        }


@pytest.fixture(scope="module")
def tokens_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Made by the lines of the guide; the tokens by name."""
    folder = tmp_path_factory.mktemp("tokens")
    tokens = {}
    for line in GUIDE.partition("## In CI")[2].splitlines():
        if line.startswith("    tracing-config token create "):
            arguments = shlex.split(line)[1:]
            assert arguments[-2:] == ["--file", "tokens.json"]
            made = CliRunner().invoke(commands, [*arguments[:-1], str(folder / "tokens.json")], catch_exceptions=False)
            tokens[arguments[2]] = made.stdout.strip()
    return folder / "tokens.json", tokens


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory, tokens_file: tuple[Path, dict[str, str]]) -> Iterator[Replica]:
    with Replica(tmp_path_factory.mktemp("data"), TRACING_CONFIG_TOKENS_FILE=str(tokens_file[0])) as replica:
        yield replica


@pytest.fixture
def run(replica: Replica) -> Run:
    return runner(replica)


@pytest.fixture
def repository(request: pytest.FixtureRequest, tmp_path: Path, replica: Replica, tokens_file: Any) -> Repository:
    return Repository(tmp_path / re.sub(r"\W", "-", request.node.name)[:60], replica, tokens_file[1])


def change(replica: Replica, **of: str) -> dict[str, Any]:
    """The newest change of a record."""
    found: dict[str, Any] = replica.api("GET", "/changes", params={**of, "limit": 1}).json()["changes"][0]
    return found


def test_a_pull_request_shows_what_the_merge_does(repository: Repository, replica: Replica, run: Run) -> None:
    """The folder of the guide, as it stands there."""
    files = re.findall(r"^  (\S+)\.yaml +(.+)$", GUIDE, re.MULTILINE)
    assert [name for name, _ in files] == ["default", "health-checks", "checkout/prod"]
    (repository.folder / "sampling" / "checkout").mkdir(parents=True)
    commit = repository.commit(**dict(files))
    before = newest_revision(replica)

    planned = repository.run("pull_request")
    assert planned.returncode == 0, planned.stderr
    for said in ("3 records would change", "+ service checkout", "-> rate limit 5/s"):
        assert said in planned.stdout
    assert newest_revision(replica) == before

    applied = repository.run("push")
    assert applied.returncode == 0, applied.stderr
    assert planned.stdout in applied.stdout
    assert "3 records written" in applied.stdout
    assert replica.poll_http("checkout")["rateLimitingSampling"] == {"maxTracesPerSecond": 5}
    made = change(replica, kind="service", name="checkout")
    assert (made["revision"], made["actor"], made["reason"]) == (before + 1, "payments-apply", f"git {commit}")
    assert made["after"]["managedBy"] == repository.owner

    again = repository.run("pull_request")
    assert (again.returncode, again.stdout) == (0, "Nothing would change.\n")
    assert repository.run("push").stdout == "Nothing would change.\n"
    run("apply", "-f", str(repository.folder / "sampling"), "--owner", repository.owner, "--prune", "--dry-run", code=DONE)


def test_a_removed_file_is_pruned_and_a_revert_brings_it_back(repository: Repository, replica: Replica) -> None:
    replica.put_rate("made-by-hand", 0.25)
    repository.commit(one=f"services: {{pruned: {HALF}}}", two=f"services: {{stays: {HALF}}}")
    assert repository.run("push").returncode == 0
    repository.commit(one=None)
    planned = repository.run("pull_request")
    assert planned.returncode == 0
    assert "1 record would change" in planned.stdout
    assert "- service pruned" in planned.stdout
    assert repository.run("push").returncode == 0
    assert replica.api("GET", "/services/pruned").status_code == 404
    assert replica.rate("stays") == 0.5
    assert replica.rate("made-by-hand") == 0.25
    repository.git("revert", "--no-edit", "HEAD")
    assert repository.run("push").returncode == 0
    assert replica.rate("pruned") == 0.5


def test_a_record_that_was_taken_over_by_hand_is_shown_and_taken_back(
    repository: Repository, replica: Replica, run: Run
) -> None:
    repository.commit(one=f"services: {{wanted: {HALF}}}")
    assert repository.run("push").returncode == 0
    refused = run("set", "service", "wanted", "--probability", "1", code=FAILED).stderr
    for said in (f"managed by '{repository.owner}'", "boost", "--takeover"):
        assert said in refused
    run("set", "service", "wanted", "--probability", "1", "--takeover")
    assert replica.api("GET", "/services/wanted").json()["managedBy"] is None
    planned = repository.run("pull_request")
    assert planned.returncode == 0
    assert "wanted: probability 1 -> probability 0.5" in re.sub(r"; GET /health 0", "", planned.stdout)
    assert repository.run("push").returncode == 0
    assert replica.rate("wanted") == 0.5
    assert replica.api("GET", "/services/wanted").json()["managedBy"] == repository.owner


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: {broken: ", "sampling/team.yaml: line 2, column 1"),
        (
            "services: {broken: {samplingStrategy: {type: probabilistic, param: 7}}}",
            'sampling/team.yaml: services["broken"].samplingStrategy.param: a probability is between 0 and 1',
        ),
    ],
)
def test_a_broken_file_fails_the_check_with_its_place(repository: Repository, replica: Replica, text: str, said: str) -> None:
    repository.commit(good=f"services: {{good: {HALF}}}", team=text)
    before = newest_revision(replica)
    for event in ("pull_request", "push"):
        failed = repository.run(event)
        assert failed.returncode == FAILED
        assert said in failed.stderr
    assert newest_revision(replica) == before


def test_two_owners_cannot_write_or_prune_each_others_records(
    repository: Repository, replica: Replica, run: Run, tmp_path: Path
) -> None:
    repository.commit(one=f"services: {{theirs: {HALF}, also-theirs: {HALF}}}")
    assert repository.run("push").returncode == 0
    folder = tmp_path / "others"
    folder.mkdir()
    (folder / "one.yaml").write_text(f"services: {{theirs: {HALF}, also-theirs: {HALF}, ours: {HALF}}}")
    apply = ("apply", "-f", str(folder), "--owner", "others", "--prune")
    refused = run(*apply, "--dry-run", code=FAILED).stderr.splitlines()
    listed = [f"  service {name} is managed by {repository.owner}" for name in ("theirs", "also-theirs")]
    assert sorted(refused[1:]) == sorted(listed)
    assert "--takeover" in refused[0]
    (folder / "one.yaml").write_text(f"services: {{ours: {HALF}}}")
    run(*apply, "--dry-run", code=PENDING)
    run(*apply, "--yes")
    assert replica.rate("theirs") == 0.5


def test_the_token_of_the_check_cannot_write(repository: Repository, tokens_file: tuple[Path, dict[str, str]]) -> None:
    repository.commit(one=f"services: {{refused: {HALF}}}")
    refused = repository.run("push", TRACING_CONFIG_APPLY_TOKEN=tokens_file[1]["payments-plan"])
    assert refused.returncode == FAILED
    assert "viewer" in refused.stderr
    without = repository.run("pull_request", TRACING_CONFIG_PLAN_TOKEN="")
    assert without.returncode == FAILED
    assert "TRACING_CONFIG_TOKEN" in without.stderr


def test_the_command_is_installed_by_its_name(repository: Repository) -> None:
    repository.commit(one="services: {}")
    installed = repository.run("push", step="Install")
    assert installed.returncode == 0, installed.stderr
    assert "already satisfied: tracing-config" in installed.stdout

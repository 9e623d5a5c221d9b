"""What the README tells a newcomer to type does what it says."""

import shlex
from pathlib import Path

from tests.e2e.command_line import DONE, PENDING, on_terminal, runner
from tests.e2e.replica import ROOT, Replica

COMMAND = "tracing-config "


def commands_of(document: str, heading: str) -> list[list[str]]:
    """The arguments of each command line under a heading, in their order."""
    section = (ROOT / document).read_text().partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    lines = (line.strip() for line in section.splitlines() if line.startswith("    "))
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith(COMMAND)]


def test_every_day_runs_from_its_first_line_to_its_last(tmp_path: Path) -> None:
    lines = commands_of("README.md", "## Every day")
    assert [line[0] for line in lines] == ["set", "set", "set", "set", "boost", "explain", "history", "rollback"]
    with Replica(tmp_path) as replica:
        run = runner(replica)
        assert replica.put_rate("checkout", 0.5).json()["revision"] == 1  # What "Run it" does before.
        for line in lines[:-1]:
            run(*line, code=PENDING if "--dry-run" in line else DONE)
        assert replica.rate("checkout") == 1
        assert replica.rate("another") == 0.01
        assert replica.poll_http("batch-1")["rateLimitingSampling"] == {"maxTracesPerSecond": 5}
        shown = on_terminal(replica, *lines[-1], typed="y\n")
        assert "- policy batch" in shown
        assert replica.rate("batch-1") == 0.01
        assert replica.rate("checkout") == 1  # A boost ends by itself.

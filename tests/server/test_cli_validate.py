"""``tracing-config validate``: what it prints and how it ends."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sampling.strategies_file import MAX_WARNINGS
from server.cli.commands import commands as app

GOOD = '{"service_strategies":[{"service":"a","type":"probabilistic","param":0.5}]}'
DOUBTFUL = (
    '{"default_strategy":{"type":"probabilistic","param":0.5},"service_strategies":[{"service":"a","type":"probabilistic",'
    '"param":0.5,"operation_strategies":[{"operation":"b","type":"probabilistic","param":7}]}]}'
)
WARNING = "warning: service_strategies[0].operation_strategies[0].param: 7 is not a probability; 1 is served"


def run(text: str, *options: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(app, ["validate", *options, "-"], input=text)
    return result.exit_code, result.output.splitlines()


def test_a_good_file_ends_with_0() -> None:
    assert run(GOOD) == (0, ["1 service, no default, 0 warnings"])
    assert run(GOOD, "--strict") == (0, ["1 service, no default, 0 warnings"])


def test_warnings_are_printed_with_their_place_and_fail_only_when_strict() -> None:
    assert run(DOUBTFUL) == (0, [WARNING, "1 service, a default, 1 warning"])
    assert run(DOUBTFUL, "--strict") == (1, [WARNING, "1 service, a default, 1 warning"])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"service_strategies":\n[{}, {"param":"1"}]}', "error: service_strategies[1].param: must be a number, not a string"),
        ('{"service_strategies":\n[{},]}', "error: line 2, column 5: expecting value"),
        ("", "error: the file is empty; a file that configures nothing is {}"),
    ],
)
def test_what_would_not_be_served_is_one_line_and_ends_with_1(text: str, line: str) -> None:
    assert run(text) == (1, [line])


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "strategies.json"
    path.write_text(GOOD)
    result = CliRunner().invoke(app, ["validate", str(path)])
    assert (result.exit_code, result.output) == (0, "1 service, no default, 0 warnings\n")


def test_what_a_shell_passes_as_a_pipe_is_read() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "w") as pipe:
        pipe.write(GOOD)
        pipe.close()
        result = CliRunner().invoke(app, ["validate", f"/dev/fd/{reading}"])
    assert (result.exit_code, result.output) == (0, "1 service, no default, 0 warnings\n")


def test_a_missing_file_is_one_line_and_ends_with_1(tmp_path: Path) -> None:
    path = tmp_path / "missing.json"
    result = CliRunner().invoke(app, ["validate", str(path)])
    reason = "cannot be read: No such file or directory; name a file that this user can read"
    assert (result.exit_code, result.output) == (1, f"error: {path}: {reason}\n")


def test_warnings_beyond_those_that_are_kept_are_counted() -> None:
    entries = ",".join(['{"service":"a","type":"probabilistic","param":1}'] * (MAX_WARNINGS + 6))
    code, lines = run(f'{{"service_strategies":[{entries}]}}')
    assert code == 0
    assert len(lines) == MAX_WARNINGS + 2
    assert lines[-2:] == ["warning: and 5 more", f"1 service, no default, {MAX_WARNINGS + 5} warnings"]


def command(path: Path) -> list[str]:
    return [sys.executable, "-m", "server", "validate", str(path)]


def test_piped_output_is_plain_and_on_a_terminal_it_is_coloured(tmp_path: Path) -> None:
    path = tmp_path / "strategies.json"
    path.write_text(DOUBTFUL)
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | {"TERM": "xterm"}
    piped = subprocess.run(command(path), env=environment, stdout=subprocess.PIPE, check=True, timeout=30)
    assert piped.stdout.decode().splitlines() == [WARNING, "1 service, a default, 1 warning"]

    ours, theirs = pty.openpty()
    try:
        wide = {**environment, "COLUMNS": "200"}
        subprocess.run(command(path), env=wide, stdout=theirs, check=True, timeout=30)
        shown = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert f"\x1b[33m{WARNING}\x1b[0m" in shown

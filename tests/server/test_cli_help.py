"""What the command line says of itself: help, examples, completion; and that it starts without what it does not need."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from server.cli.commands import PANELS, commands

ROOT = Path(__file__).parents[2]

TREE: Any = get_command(commands)


def every(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """The path of every command and group below a group."""
    for name, each in command.commands.items():
        yield (*path, name)
        if hasattr(each, "commands"):
            yield from every(each, *path, name)


def help_of(*path: str) -> str:
    """The help of a command in one line."""
    return " ".join(shown_help(*path).split())


def shown_help(*path: str) -> str:
    """The help of a command as 80 columns show it."""
    result = CliRunner().invoke(commands, [*path, "--help"], catch_exceptions=False, env={"COLUMNS": "80"})
    assert result.exit_code == 0
    return result.output


def parse(arguments: list[str]) -> None:
    """What happens with arguments before a command runs. Raises what ends it as wrong usage."""
    command, context, rest = TREE, None, arguments
    while hasattr(command, "commands"):
        context = command.make_context("tracing-config", [*rest], parent=context)
        rest = [*context._protected_args, *context.args]
        if not rest and command.invoke_without_command:
            return
        _, command, rest = command.resolve_command(context, rest)
    with command.make_context(command.name, [*rest], parent=context):
        pass


@pytest.mark.parametrize("path", list(every(TREE)), ids=" ".join)
def test_every_help_has_an_example_that_can_be_typed(path: tuple[str, ...]) -> None:
    _, found, example = help_of(*path).partition("Example: tracing-config ")
    assert found
    arguments = shlex.split(example)
    assert tuple(arguments[: len(path)]) == path
    parse(arguments)


@pytest.mark.parametrize("framed", [False, True], ids=["plain", "framed"])
def test_every_example_stands_on_one_line_of_80_columns(monkeypatch: pytest.MonkeyPatch, framed: bool) -> None:
    monkeypatch.setattr(commands, "rich_markup_mode", "rich" if framed else None)
    for path in every(TREE):
        help_text = shown_help(*path)
        assert ("╭" in help_text) == framed
        line, *rest = help_text.partition("Example: ")[2].rstrip().splitlines()
        assert line.startswith(f"tracing-config {' '.join(path)}")
        assert rest == [], path


def test_help_shows_all_commands_by_panel_in_their_order() -> None:
    shown = CliRunner().invoke(commands, ["--help"]).output
    sections = re.findall(r"^(\S[^:\n]*):\n((?:  \S.*\n)+)", shown, re.MULTILINE)
    panels = {title: tuple(line.split()[0] for line in body.splitlines()) for title, body in sections if title in PANELS}
    assert panels == PANELS
    assert list(panels) == ["Records", "Why", "The past", "The whole", "The server"]
    assert {name for names in PANELS.values() for name in names} == set(TREE.commands)
    for told in ("TRACING_CONFIG_URL", "TRACING_CONFIG_TOKEN", "0 done", "1 failed", "2 wrong usage", "3 changes are pending"):
        assert told in " ".join(shown.split())


def test_help_and_usage_errors_are_plain_where_no_terminal_is() -> None:
    for arguments in (["--help"], ["set", "service", "--help"], ["frobnicate"], ["set"]):
        result = CliRunner().invoke(commands, arguments)
        assert not re.search("[\x1b╭│]", result.output)
    assert CliRunner().invoke(commands, ["frobnicate"]).exit_code == 2


def test_every_command_takes_json_but_the_server_and_its_health_check() -> None:
    for path in every(TREE):
        if not hasattr(TREE.commands[path[0]], "commands") or len(path) == 2:
            assert ("--json" in help_of(*path)) == (path not in {("serve",), ("health",)}), path


def test_no_option_takes_a_token() -> None:
    for path in every(TREE):
        assert "--token" not in help_of(*path)


def test_the_commands_in_the_documents_can_be_typed() -> None:
    documents = (
        "README.md",
        "docs/admin.md",
        "docs/cli.md",
        "docs/disaster-recovery.md",
        "docs/gitops.md",
        "docs/operations.md",
    )
    parts = [part for name in documents for part in re.split(r"\n| \|\|? ", (ROOT / name).read_text())]
    typed = [part for part in parts if re.match(r"( {4})?(\.venv/bin/)?tracing-config \w", part)]
    assert len(typed) > 15
    for part in typed:
        parse(shlex.split(part, comments=True)[1:])


def test_the_table_of_the_guide_has_every_command() -> None:
    guide = (ROOT / "docs/cli.md").read_text()
    for name in TREE.commands:
        assert re.search(rf"^\| .*`{name}\b", guide, re.MULTILINE), name


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_and_options_are_completed(shell: str) -> None:
    def completed(*words: str) -> str:
        line = " ".join(("tracing-config", *words))
        environment = {
            "_TRACING_CONFIG_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words)),
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        return CliRunner().invoke(commands, [], prog_name="tracing-config", env=environment).output

    assert "explain" in completed("ex")
    assert "--probability" in completed("set", "service", "--pro")
    assert "ratelimiting" in completed("list", "services", "--type", "r")
    assert "policy" in completed("history", "--kind", "p")


def test_a_script_for_the_shell_is_shown() -> None:
    line = [sys.executable, "-m", "server", "--show-completion"]
    shell = ["bash", "-c", f"{shlex.join(line)}; exit $?"]
    shown = subprocess.run(shell, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "_TRACING_CONFIG_COMPLETE=complete_bash" in shown


def test_the_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(commands, ["--version"]).output == f"{version('tracing-config')}\n"


def test_a_command_starts_without_what_it_does_not_need() -> None:
    heavy = {"aiohttp", "asyncpg", "google.protobuf", "grpc", "h2corn", "httpx", "redis", "rich", "structlog", "yaml"}
    program = f"import sys, server.cli.commands; print(*({heavy!r} & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split() == []

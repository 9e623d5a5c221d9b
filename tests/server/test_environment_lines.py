"""Lines of variables, as a real shell reads them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from server.environment_lines import environment_lines

NAMES = [
    "checkout",
    "a/b",
    "my service",
    "  around  ",
    "it's",
    "it's #5",
    'the "one"',
    "`touch ran`",
    "#x",
    "x #y",
    "a;touch ran",
]
NAMES += [
    "a&touch ran&",
    "|x",
    "!x",
    "~",
    "~root",
    "*",
    "?",
    "[a]",
    "{a,b}",
    "<x",
    ">ran",
    "(x)",
    "-n",
    "a=b",
    "a,b",
    "%41",
    "=ls",
    "a:=ls",
    "ü 漢",
]
NAMES += ["'", '"', "''", "'; touch ran; '", '"; touch ran; "', "\u00a0", "a\u2028b", "a\u202eb", "true\u3000touch ran"]

REFUSED = [
    "$HOME",
    "${HOME}",
    "$(touch ran)",
    "a\\b",
    "a\\",
    'it\'s "x"',
    "it's `x`",
    "a\nb",
    "a\0b",
    "a\x85b",
    "\x7f",
    "\x1b[2J",
]

SHELLS = sorted({os.path.realpath(found) for name in ("sh", "dash", "bash", "ksh", "zsh") if (found := shutil.which(name))})


def obeyed(shell: str, script: str, folder: Path) -> str:
    """The name that a program has which a shell starts."""
    command = [shell, "-c", f"{script}\nexec printenv OTEL_SERVICE_NAME"]
    done = subprocess.run(command, cwd=folder, env={"PATH": os.environ["PATH"]}, capture_output=True, check=True)
    assert done.stderr == b""
    return done.stdout.decode().removesuffix("\n")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_reads_every_name_back_and_runs_none(shell: str, tmp_path: Path) -> None:
    for name in NAMES:
        (line,) = environment_lines({"OTEL_SERVICE_NAME": name})
        file = tmp_path / "file.env"
        file.write_text(f"{line}\n")
        assert obeyed(shell, f"set -a; . {file}", tmp_path) == name
        file.write_text(f"export {line}\n")
        assert obeyed(shell, f'eval "$(cat {file})"', tmp_path) == name
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", REFUSED)
def test_what_readers_of_env_files_take_differently_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^OTEL_SERVICE_NAME: has "):
        environment_lines({"OTEL_SERVICE_NAME": name})


def test_a_plain_value_has_no_quotes() -> None:
    """Some readers take quotes as a part of the value."""
    plain = {
        "OTEL_SERVICE_NAME": "team/checkout-2.x",
        "OTEL_TRACES_SAMPLER_ARG": "endpoint=http://tracing-config:14250,pollingIntervalMs=60000,initialSamplingRate=1e-07",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://jaeger:4318/v1/traces",
    }
    assert environment_lines(plain) == [f"{name}={value}" for name, value in plain.items()]


@pytest.mark.parametrize("name", ["=ls", "a:=ls"])
def test_what_zsh_would_take_for_a_command_is_quoted(name: str) -> None:
    assert environment_lines({"OTEL_SERVICE_NAME": name}) == [f"OTEL_SERVICE_NAME='{name}'"]


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "OTEL_X;touch ran", "OTEL_X=1\nPATH", "", "OTEL_", "otel_x"])
def test_no_other_variable_can_be_set(name: str) -> None:
    with pytest.raises(ValueError, match="no variable of OpenTelemetry"):
        environment_lines({name: "x"})

"""The log of a whole process: what libraries, Python and native code tell comes in its form; on a terminal it is for people."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from server.telemetry.standard_output import Terminal

ROOT = Path(__file__).parents[2]

PROGRAM = r"""
import asyncio, gc, logging, os, sys, threading, warnings
from server.cli import serve

class Broken:
    def __del__(self):
        raise KeyError("unraisable")

async def fails():
    raise LookupError("nobody asked")

async def provoke(settings, stop):
    warnings.warn("a warning\nof two lines")
    library = logging.getLogger("a.library")
    library.info("too low")
    library.warning("it %s", "broke")
    library.error("it is %d", "no number")
    library.log(35, "between two levels")
    threading.Thread(target=lambda: 1 / 0, name="short-lived").start()
    Broken()
    task = asyncio.ensure_future(fails())
    await asyncio.wait([task])
    del task
    gc.collect()
    print("printed\x1b[31m", file=sys.stderr)
    os.write(2, b'{"level":"info","event":"listening","pid":1,"url":"http://127.0.0.1:1"}\n')
    os.write(2, b'{"level":"error","event":"failed","pid":1,"subject":"request","detail":"Traceback"}\n')
    os.write(2, b"\n[3, 4]\na panic \xff in native code")
    raise RuntimeError("a defect")

serve.serve = provoke
sys.exit(serve.run_server())
"""

COMMAND = [sys.executable, "-c", PROGRAM]
ENVIRONMENT = {**os.environ, "LOG_LEVEL": "DEBUG", "OTEL_SERVICE_NAME": "another-name"}


def test_what_libraries_python_and_native_code_tell_comes_in_the_form_of_the_log() -> None:
    ended = subprocess.run(COMMAND, cwd=ROOT, env=ENVIRONMENT, capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (1, b"")
    lines: list[dict[str, Any]] = [json.loads(line) for line in ended.stdout.splitlines()]
    for line in lines:
        assert list(line)[:5] == ["@timestamp", "level", "logger", "message", "service.name"]
        assert line["service.name"] == "another-name"
    assert {(line["level"], line["logger"], line["message"].split("\n")[0].rpartition("/")[2]) for line in lines} == {
        ("WARN", "py.warnings", "<string>:13: UserWarning: a warning"),
        ("WARN", "a.library", "it broke"),
        ("ERROR", "a.library", "it is %d"),
        ("WARN", "a.library", "between two levels"),
        ("ERROR", "server.telemetry.library_logs", "a thread ended through a defect"),
        ("ERROR", "server.telemetry.library_logs", "an exception had nobody to go to"),
        ("ERROR", "asyncio", "Task exception was never retrieved"),
        ("WARN", "stderr", "printed\x1b[31m"),
        ("DEBUG", "h2corn", "listening"),
        ("ERROR", "h2corn", "request failed"),
        ("WARN", "stderr", "[3, 4]"),
        ("WARN", "stderr", "a panic \ufffd in native code"),
        ("ERROR", "server.cli.serve", "the server ended through a defect"),
    }
    exceptions = {line["exception"].splitlines()[-1] for line in lines if "exception" in line}
    assert exceptions == {
        "ZeroDivisionError: division by zero",
        "KeyError: 'unraisable'",
        "LookupError: nobody asked",
        "Traceback",
        "RuntimeError: a defect",
    }
    assert {line["thread"] for line in lines if "thread" in line} == {"short-lived"}


def test_a_process_that_dies_of_a_signal_tells_its_stack_on_the_standard_error() -> None:
    program = PROGRAM.replace('raise RuntimeError("a defect")', "os.abort()")
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, timeout=60, check=False)
    assert ended.returncode < 0
    assert b"Fatal Python error: Aborted" in ended.stderr
    assert b"in provoke" in ended.stderr


@pytest.mark.parametrize("no_color", ["", "1"], ids=["coloured", "NO_COLOR"])
def test_on_a_terminal_the_log_is_for_people(no_color: str) -> None:
    ours, theirs = pty.openpty()
    environment = {**ENVIRONMENT, "NO_COLOR": no_color, "TERM": "xterm", "LOG_LEVEL": "INFO"}
    with subprocess.Popen(COMMAND, cwd=ROOT, env=environment, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while more := os.read(ours, 65_536):
                shown += more
        except OSError:  # Nobody has the other end any more.
            pass
        os.close(ours)
        assert process.wait() == 1
    text = shown.decode()
    assert ("\x1b[" in text) is not bool(no_color)
    assert "\x1b[31mprinted" not in text
    assert "printed\\x1b[31m" in text
    assert "\r\n    Traceback (most recent call last):\r\n" in text
    assert "{" not in text
    assert "another-name" not in text


def test_nothing_that_acts_on_a_terminal_reaches_it() -> None:
    reading, writing = os.pipe()
    odd = "a\x1b]0;title\x07\nb\u202e\u2028c ü"
    fields = {"@timestamp": "now", "level": "WARN", "logger": "l", "message": odd, "service.name": "s", "x": odd}
    more = {"list": [odd], "exception": f"Traceback\nValueError: {odd}\n2026 [INFO] forged"}
    Terminal(writing, colors=False).write([json.dumps({**fields, **more}) + "\n"])
    os.close(writing)
    with os.fdopen(reading) as output:
        first, *traceback = output.read().split("\n")
    spelled = "a\\x1b]0;title\\x07\\nb\\u202e\\u2028c ü"
    assert first == f"now [WARN ] {spelled} [l] x='{spelled}' list=['{spelled}']"
    assert traceback == [
        "    Traceback",
        "    ValueError: a\\x1b]0;title\\x07",
        "    b\\u202e\\u2028c ü",
        "    2026 [INFO] forged",
        "",
    ]

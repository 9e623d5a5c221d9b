"""A line of the log is one line of JSON, short enough, and nothing in it acts on who reads it: whatever the event carries."""

import ast
import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from server.telemetry.log_line import MAX_LINE_BYTES, LogLine

ROOT = Path(__file__).parents[2]
FIRST = ["@timestamp", "level", "logger", "message", "service.name"]


class Kept:
    """The last line that was logged."""

    name = "a.module"

    def write(self, line: str) -> None:
        self.line = line

    debug = info = warning = error = critical = exception = write


KEPT = Kept()
CHAIN: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.format_exc_info,
    LogLine("a-service"),
]
LOG = structlog.wrap_logger(KEPT, processors=CHAIN, wrapper_class=structlog.make_filtering_bound_logger(0))


def acts(character: str) -> bool:
    """Whether it steers a terminal, ends a line, is no character, or turns the direction of text."""
    turns = unicodedata.bidirectional(character) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    return turns or unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") or character in "\u061c\u200e\u200f"


def read(line: str) -> dict[str, Any]:
    """What a line says; AssertionError where it is no line."""
    assert line.endswith("\n")
    assert line.splitlines() == [line[:-1]]
    assert not [each for each in line[:-1] if acts(each)]
    assert len(line.encode()) <= MAX_LINE_BYTES
    fields: dict[str, Any] = json.loads(line)
    assert list(fields)[:5] == FIRST
    return fields


@given(st.text(st.characters(codec=None), max_size=200), st.text(max_size=200))
def test_any_text_is_one_line_and_comes_back_as_it_was(message: str, value: str) -> None:
    LOG.info(message, value=value, other=[value, {value: message}])
    fields = read(KEPT.line)
    if message.isascii() and value.isascii():
        assert (fields["message"], fields["value"], fields["other"]) == (message, value, [value, {value: message}])


ODD = {
    "newlines": "a\nb\r\nc\x0b\x0c\x85\u2028\u2029d",
    "escape sequences": "\x1b[31mred\x1b]0;title\x07\x9b31m",
    "NUL": "a\0b",
    "direction": "\u202egol\u2066\u200f",
    "DEL": "\x7f\x7f",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_characters_that_act_are_kept_and_act_no_more(text: str) -> None:
    LOG.warning("odd", value=text)
    assert read(KEPT.line)["value"] == text


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


class Circle(list[Any]):
    def __init__(self) -> None:
        super().__init__([self])


@pytest.mark.parametrize(
    "value",
    [
        "\udc80\ud800",
        "x" * 1_000_000,
        "\u2028" * 1_000_000,
        "\ud800" * 1_000_000,
        ["x" * 1000] * 1000,
        {f"{number}\n" * 1000: number for number in range(1000)},
        {"a": {"b": {"c": {"d": {"e": "x" * 100_000}}}}},
        2**200,
        float("nan"),
        Unprintable(),
        Circle(),
        Path("/a\nb"),
        b"\xff",
        {1, 2},
        ValueError("x" * 100_000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_value_is_too_much(value: object) -> None:
    LOG.error("much", first="is kept", value=value, last="too")
    fields = read(KEPT.line)
    assert (fields["message"], fields["first"], fields["last"]) == ("much", "is kept", "too")


def test_a_value_that_is_cut_says_so_and_keeps_its_end() -> None:
    LOG.info("long", value=f"start{'x' * 1_000_000}end")
    assert re.fullmatch(r"startx+ \[\.\.\. 988008 characters \.\.\.\] x+end", read(KEPT.line)["value"])


def test_more_fields_than_a_line_holds_leave_its_first() -> None:
    LOG.info("many", **{f"field {number}": "x" * 100 for number in range(1000)})
    assert list(read(KEPT.line)) == FIRST


def test_every_level_has_one_of_four_names() -> None:
    told = {}
    for method in ("debug", "info", "warning", "warn", "error", "critical", "exception"):
        getattr(LOG, method)("x")
        told[method] = read(KEPT.line)["level"]
    assert told == {
        "debug": "DEBUG",
        "info": "INFO",
        "warning": "WARN",
        "warn": "WARN",
        "error": "ERROR",
        "critical": "ERROR",
        "exception": "ERROR",
    }


def test_a_trace_that_is_bound_comes_before_what_the_event_carries() -> None:
    with structlog.contextvars.bound_contextvars(span_id="s", trace_id="t"):
        LOG.info("x", a=1)
    fields = read(KEPT.line)
    assert list(fields) == [*FIRST, "trace_id", "span_id", "a"]
    assert (fields["logger"], fields["service.name"], fields["trace_id"]) == ("a.module", "a-service", "t")


def test_an_exception_is_a_field_with_its_traceback() -> None:
    try:
        raise ValueError("a\nb" + "x" * 100_000 + "the end")
    except ValueError:
        LOG.exception("failed")
    told = read(KEPT.line)["exception"]
    assert told.startswith("Traceback (most recent call last):\n")
    assert told.endswith("the end")


def test_each_module_that_logs_says_which_it_is() -> None:
    found = set()
    for file in (ROOT / "server").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Assign)
                and ast.unparse(node.targets[0]) == "_log"
                and "structlog" in ast.unparse(node.value)
            ):
                found.add(ast.unparse(node.value))
    assert found == {"structlog.get_logger(__name__)"}

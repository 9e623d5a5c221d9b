"""How commands print: colours on a terminal, plain lines elsewhere, the server's JSON with ``--json``."""

import json
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

if TYPE_CHECKING:
    from rich.console import Console

AsJson = Annotated[bool, typer.Option("--json", help="Print the server's JSON and nothing else.")]

SHOWN_OPERATIONS = 5


def print_json(value: object) -> None:
    """As it came, but for what a terminal would obey: that is written with escapes of JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    for line in text.split("\n"):
        print(line if line.isprintable() else "".join(_in_json(character) for character in line))


def _in_json(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]


def escaped(text: str) -> str:
    """A text from elsewhere, without what a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def say(text: str = "", style: str = "") -> None:
    """A line; ``style`` is for a terminal (``bold``, ``red``, ...)."""
    text = escaped(text)
    if not style or not sys.stdout.isatty():
        print(text)
        return
    from rich.text import Text  # noqa: PLC0415

    console_of(sys.stdout).print(Text(text, style))


def tell(text: str) -> None:
    """A line for the reader that is no result: on standard error."""
    print(escaped(text), file=sys.stderr)


@lru_cache(1)
def console_of(stream: TextIO) -> "Console":
    """Where there is a terminal."""
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it

    return Console(file=stream, soft_wrap=False, highlight=False, markup=False, emoji=False)


def strategy_text(strategy: Mapping[str, Any] | None) -> str:
    """A sampling strategy in a few words, those of the options."""
    if strategy is None:
        return "-"
    if strategy["type"] == "ratelimiting":
        return f"rate limit {number(strategy['param'])}/s"
    bound = strategy.get("lowerBoundTracesPerSecond", 0)
    return f"probability {number(strategy['param'])}" + (f", lower bound {number(bound)}/s" if bound else "")


def number(value: float) -> str:
    """Shortest, as people write it."""
    if value == int(value):
        return str(int(value))
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def answer_text(effective: Mapping[str, Any]) -> str:
    """An answer of a poll in a few words."""
    return rules_text(effective["strategy"], effective.get("operations"))


def rules_text(strategy: Mapping[str, Any] | None, operations: Sequence[Mapping[str, Any]] | None) -> str:
    """A strategy and operation strategies in a few words."""
    if not operations:
        return strategy_text(strategy)
    text = ", ".join(f"{one['operation']} {number(one['param'])}" for one in operations[:SHOWN_OPERATIONS])
    more = f", {len(operations) - SHOWN_OPERATIONS} more" if len(operations) > SHOWN_OPERATIONS else ""
    return f"{text}{more}" if strategy is None else f"{strategy_text(strategy)}; {text}{more}"


def moment(instant: str) -> str:
    """An instant of the server to the second, for a table."""
    date, dot, rest = instant.partition(".")
    return f"{date}Z" if dot and rest.endswith("Z") else instant


def yes_no(value: bool) -> str:
    return "yes" if value else "no"


def counted(count: int, noun: str, nouns: str = "") -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {nouns or noun + 's'}"

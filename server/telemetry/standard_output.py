"""The standard output as a place for the log: JSON, or, on a terminal, lines for people."""

import os
import select
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from structlog.dev import ConsoleRenderer


class StandardOutput:
    """Lines of JSON, as they are. See ``Output``."""

    dropped = "lines of the log were dropped: nobody read the standard output"

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, lines: Sequence[str]) -> None:
        """Wait for the reader; raises OSError once it is gone for good: nobody is there to be told."""
        rest = memoryview("".join(lines).encode())
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # It is not ours alone: who shares it may have made it so.
                select.select((), (self._descriptor,), ())

    def close(self) -> None:
        """It stays open: others may write to it."""


class Terminal(StandardOutput):
    """The same lines for people: aligned, coloured, and with every character that would act on a terminal spelled out."""

    def __init__(self, descriptor: int, *, colors: bool) -> None:
        super().__init__(descriptor)
        styles = ConsoleRenderer.get_default_level_styles(colors)
        self._render = ConsoleRenderer(
            colors=colors,
            level_styles={level: styles[level.lower()] for level in ("DEBUG", "INFO", "WARN", "ERROR")},
            repr_native_str=True,  # Which spells out what acts.
            sort_keys=False,
            timestamp_key="@timestamp",
            event_key="message",
            pad_event_to=0,
        )

    def write(self, lines: Sequence[str]) -> None:
        super().write([self._readable(msgspec.json.decode(line)) for line in lines])

    def _readable(self, fields: Mapping[str, Any]) -> str:
        shown = {name: value for name, value in fields.items() if name not in ("service.name", "exception")}
        line = self._render(
            None, "", {**shown, "logger": _printable(fields["logger"]), "message": _printable(fields["message"])}
        )
        # Further in, so that no line of an exception's text can pass for one of the log.
        traceback = [f"    {_printable(each)}" for each in fields.get("exception", "").split("\n") if each]
        return "\n".join((line, *traceback)) + "\n"


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)

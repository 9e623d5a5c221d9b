"""Environment variables as lines that a POSIX shell and readers of ``.env`` files take alike."""

import re
import shlex
from collections.abc import Mapping, Sequence

_NAME = re.compile(r"OTEL_[A-Z_]+")

_PATH_OF_A_COMMAND = re.compile("(^|:)=")
"""For zsh: it puts the path of ``ls`` in place of an unquoted ``=ls``."""


def environment_lines(variables: Mapping[str, str]) -> Sequence[str]:
    """One ``NAME=VALUE`` each: plain where nothing is special, else quoted.

    A value that some reader would cut, change or even run is refused, however it is quoted: there are readers that obey
    ``$`` and backslashes between single quotes too, and each has its own way to put both kinds of quotes into one value.

    Raises:
        ValueError: for such a value, or one with control characters, which no line can hold; naming the variable. For a name
            that is none of OpenTelemetry's.
    """
    lines = []
    for name, value in variables.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no variable of OpenTelemetry")
        if any(character < " " or "\x7f" <= character <= "\x9f" for character in value):
            raise ValueError(f"{name}: has control characters, which no line can hold")
        if set(value) & set("$\\") or ("'" in value and set(value) & set('"`')):
            raise ValueError(f"{name}: has $, \\ or several kinds of quotes, which readers of such lines take differently")
        if "'" in value:
            quoted = f'"{value}"'
        elif _PATH_OF_A_COMMAND.search(value):
            quoted = f"'{value}'"
        else:
            quoted = shlex.quote(value)
        lines.append(f"{name}={quoted}")
    return lines

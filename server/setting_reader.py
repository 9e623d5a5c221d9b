"""Reads single variables of the environment, and secrets that are kept in files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from server import setting_values as values_of
from server.setting_rules import PREFIX

Parsed = TypeVar("Parsed")


class SettingError(ValueError):
    """Is raised for a setting that cannot be used; the message names the variable and the cure."""


class Source(msgspec.Struct, frozen=True):
    """Where the value of a setting came from, if it is not the default."""

    variable: str
    """As it was given: ``TRACING_CONFIG_HOST``, ``TRACING_CONFIG_ADMIN_TOKEN_FILE``."""

    file: Path | None = None
    """Of a secret that is kept in a file."""


class Reader:
    """Reads one variable after the other; what is refused has its default, and is told at the end."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.sources: dict[str, Source] = {}
        self.refused: dict[str, SettingError] = {}
        """By field, in the order in which they were read."""

    def value(self, name: str, parse: Callable[[str], Parsed], default: Parsed, *, prefix: str = PREFIX) -> Parsed:
        """What a variable says, or the default where it is refused.

        An empty variable counts as not set: that is how compose files and manifests leave one out.
        """
        text = self._environment.get(prefix + name, "").strip()
        if not text:
            return default
        try:
            value = parse(text)
        except ValueError as error:
            return self._refuse(name, f"{prefix}{name}: {error}", default)
        self.sources[name.lower()] = Source(prefix + name)
        return value

    def secret(self, name: str, parse: Callable[[str], Parsed], default: Parsed) -> Parsed:
        """From the variable, or from the file that ``<NAME>_FILE`` names; its value is never part of a problem."""
        path = self._environment.get(f"{PREFIX}{name}_FILE", "").strip()
        if not path:
            return self.value(name, parse, default)
        if self._environment.get(PREFIX + name, "").strip():
            return self._refuse(name, f"{PREFIX}{name}: is given as {PREFIX}{name}_FILE too; remove one of them", default)
        source = Source(f"{PREFIX}{name}_FILE", Path(path))
        try:
            value = parse(values_of.read_secret_file(Path(path)))
        except ValueError as error:
            return self._refuse(name, f"{source.variable}: {error}", default)
        self.sources[name.lower()] = source
        return value

    def _refuse(self, name: str, problem: str, default: Parsed) -> Parsed:
        self.refused[name.lower()] = SettingError(problem)
        return default

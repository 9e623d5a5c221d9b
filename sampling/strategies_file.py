"""What a strategies file in Jaeger's format says, as a layer under the records.

``strategies_file_reader`` reads one and ``strategies_file_writer`` writes one.
"""

from typing import NamedTuple

import msgspec

from sampling.records import Rules

MAX_WARNINGS = 1000
"""So many warnings of one file are kept, the first ones; the rest is only counted."""


class StrategiesFileError(ValueError):
    """Is raised for a file that cannot be served; the message names the place and the reason in one line."""


class FileWarning(NamedTuple):
    """A spot where Jaeger or this server cuts, drops or guesses something."""

    path: str
    """Where in the document: ``service_strategies[3].operation_strategies[0].param``."""
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class StrategiesFile(msgspec.Struct, frozen=True):
    """A whole file. 100,000 services are a dict of their names whose equal values are one object."""

    services: dict[str, bytes]
    """The canonical JSON of the ``Rules`` of each service. They always have a strategy; beside a rate limit they have no
    operations."""
    default: Rules | None
    """None where the file has no default. It may have operations beside a rate limit: services with a probability
    inherit them."""
    sha256: str
    """Of the bytes of the file, in hex."""
    warnings: tuple[FileWarning, ...] = ()
    """The first MAX_WARNINGS."""
    warning_count: int = 0
    """All of them."""


NO_FILE = StrategiesFile({}, None, "")
"""The layer where no file is configured."""

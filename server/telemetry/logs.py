"""The log: one JSON object a line on standard output, lines for people on a terminal, and files where a folder is set."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import structlog

from server.setting_reader import SettingError
from server.settings import Settings
from server.telemetry.library_logs import library_logs
from server.telemetry.log_files import LogFiles
from server.telemetry.log_line import LogLine
from server.telemetry.log_writer import LogWriter, Output
from server.telemetry.standard_error import StandardError
from server.telemetry.standard_output import StandardOutput, Terminal


@contextmanager
def logs(settings: Settings, environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Write the log until the end: our events, and what libraries and native code tell in whatever way.

    See ``LogLine`` for what a line has. Each output has a thread of its own: one that stalls holds up neither us nor another.

    Args:
        environment: says ``OTEL_SERVICE_NAME``, and of a terminal ``NO_COLOR`` and ``TERM``.

    Raises:
        SettingError: no file can be written in the folder for the log.
    """
    outputs: list[Output] = []
    if sys.stdout is not None:
        outputs.append(_standard_output(environment))
    if settings.log_dir is not None:
        outputs.append(_files(settings.log_dir, settings.variable("log_dir")))
    writers = [LogWriter(output) for output in outputs]
    least = logging.getLevelNamesMapping()[settings.log_level]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            LogLine(environment.get("OTEL_SERVICE_NAME") or "tracing-config"),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=partial(_Logger, writers),
        cache_logger_on_first_use=False,
    )
    with ExitStack() as stack:
        for writer in writers:
            writer.start()
            stack.callback(writer.close)
        stack.enter_context(library_logs(least))
        if sys.stderr is not None:
            standard_error = StandardError()
            standard_error.open()
            stack.enter_context(closing(standard_error))
        yield


def _standard_output(environment: Mapping[str, str]) -> Output:
    descriptor = sys.stdout.fileno()
    if not os.isatty(descriptor):
        return StandardOutput(descriptor)
    return Terminal(descriptor, colors=not environment.get("NO_COLOR") and environment.get("TERM") != "dumb")


def _files(folder: Path, setting: str) -> Output:
    files = LogFiles(folder)
    try:
        files.open()
    except OSError as error:
        reason = f"cannot write in {folder.absolute()}: {error.strerror}"
        raise SettingError(f"{setting}: {reason}; name a folder of this user, or leave it out") from None
    return files


class _Logger:
    """What structlog takes for a logger: whatever the level, its lines go to every writer."""

    def __init__(self, writers: Sequence[LogWriter], name: str) -> None:
        self._writers, self.name = writers, name

    def write(self, line: str) -> None:
        for writer in self._writers:
            writer.write(line)

    debug = info = warning = error = critical = exception = write

"""What Python and libraries tell in ways of their own becomes lines of the log."""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_log = structlog.get_logger(__name__)


@contextmanager
def library_logs(least: int) -> Iterator[None]:
    """Take over the standard library's loggers, warnings, and exceptions that nobody can catch, until the end.

    Loggers are held at WARNING, or at ``least`` where that is higher.
    """
    # Its warnings are tracebacks of what the follower tells in a line.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
    # A traceback for whatever bytes anybody sends; what fails in a handler is told by the sidecar itself.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    logging.basicConfig(level=max(least, logging.WARNING), handlers=[_ToStructlog()], force=True)
    logging.captureWarnings(capture=True)
    of_threads, unraisable = threading.excepthook, sys.unraisablehook
    threading.excepthook, sys.unraisablehook = _tell_of_thread, _tell_of_unraisable
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = of_threads, unraisable
        logging.captureWarnings(capture=False)
        logging.basicConfig(force=True)


class _ToStructlog(logging.Handler):
    """What fails here would be told on the standard error, in pieces: nothing does."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - the arguments do not fit the text
            message = str(record.msg)
        logger = structlog.get_logger(record.name)
        # Not by its number: libraries have levels of their own.
        if record.levelno >= logging.ERROR:
            tell = logger.error
        else:
            tell = logger.warning if record.levelno >= logging.WARNING else logger.info
        tell(message.strip(), exc_info=record.exc_info)


def _tell_of_thread(ended: threading.ExceptHookArgs) -> None:
    name = ended.thread.name if ended.thread is not None else "unknown"
    if ended.exc_type is not SystemExit:
        _log.error("a thread ended through a defect", thread=name, exc_info=ended.exc_value)


def _tell_of_unraisable(ignored: "UnraisableHookArgs") -> None:
    message = ignored.err_msg or "an exception had nobody to go to"
    _log.error(message, where=repr(ignored.object), exc_info=ignored.exc_value)

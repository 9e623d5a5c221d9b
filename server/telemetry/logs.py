"""Logs: one JSON object a line on standard output, one line an event."""

import logging
import sys
from typing import Any, TextIO, cast

import structlog

from server.telemetry.log_writer import LogWriter


def configure_logs(level: str) -> LogWriter:
    """Send our events, and what libraries log through the standard library, to standard output as JSON.

    Returns what writes them, to be closed at the end.

    Keys: ``@timestamp`` (UTC), ``level`` (upper case), ``message``, then what the event carries. ``level`` is the least
    that is written; libraries are held at WARNING.
    """
    least, writer = logging.getLevelName(level), LogWriter(sys.stdout)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _upper_case_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="@timestamp"),
            structlog.processors.EventRenamer("message"),
            structlog.processors.format_exc_info,
            _for_eyes,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", writer)),
        cache_logger_on_first_use=False,
    )
    # Its warnings are tracebacks of what the follower tells in a line.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
    # A traceback for whatever bytes anybody sends; what fails in a handler is told by the sidecar itself.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    logging.basicConfig(level=max(least, logging.WARNING), handlers=[_ToStructlog()], force=True)
    return writer


class _ToStructlog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger()
        logger.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)


def _for_eyes(_logger: object, _method: str, event: structlog.typing.EventDict) -> dict[str, Any]:
    first = {key: event.pop(key) for key in ("@timestamp", "level", "message")}
    return {**first, **event}


def _upper_case_level(_logger: object, _method: str, event: structlog.typing.EventDict) -> dict[str, Any]:
    event["level"] = event["level"].upper()
    return dict(event)

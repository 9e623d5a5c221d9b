"""An event of the log as one line of JSON, whatever is in it: short enough to stay whole, and without characters that act."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol

import msgspec
import structlog

MAX_LINE_BYTES = 16_000
"""Container runtimes cut longer lines into several: at 16 KiB, where Docker and containerd buffer them."""

MAX_TEXTS = (12_000, 3_000, 500, 50)
"""Characters of each value of a line that is too long, until it fits."""

MAX_ITEMS = 20
"""Of each list and object of such a line."""

MAX_DEPTH = 4
"""Of lists and objects in each other, in such a line."""

LEVELS = {"debug": "DEBUG", "info": "INFO", "warning": "WARN"}
"""By the name of the method; all others are ERROR."""

ACTING = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""What ends a line for some readers, steers a terminal or turns the direction of text, and JSON allows as it is."""

_SURROGATES = re.compile("[\ud800-\udfff]")


class NamedLogger(Protocol):
    """What structlog's factory of loggers made."""

    name: str


class LogLine:
    """The last processor of structlog's chain.

    First comes what every line has, in the order in which people read it: ``@timestamp`` (RFC 3339, UTC, milliseconds),
    ``level``, ``logger``, ``message``, ``service.name``, then ``trace_id`` and ``span_id`` where they are bound, then what the
    event carries.
    """

    def __init__(self, service_name: str) -> None:
        self._service_name = service_name

    def __call__(self, logger: NamedLogger, method: str, event: structlog.typing.EventDict) -> str:
        fields = {
            "@timestamp": datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": LEVELS.get(method, "ERROR"),
            "logger": logger.name,
            "message": event.pop("event"),
            "service.name": self._service_name,
        }
        for bound in ("trace_id", "span_id"):
            if bound in event:
                fields[bound] = event.pop(bound)
        first = len(fields)
        fields.update(event)
        try:
            line = _json(fields)
        except Exception:  # noqa: BLE001 - whatever a value is, there is a line
            return _shortened(fields, first)
        return line if _fits(line) else _shortened(fields, first)


_encoder = msgspec.json.Encoder(enc_hook=str)


def _json(fields: Mapping[str, object]) -> str:
    """Raises whatever the encoder raises."""
    line = _encoder.encode(fields).decode() + "\n"
    if line.isascii() and "\x7f" not in line:
        return line
    return ACTING.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def _fits(line: str) -> bool:
    return len(line) <= MAX_LINE_BYTES // 4 or len(line.encode()) <= MAX_LINE_BYTES


def _shortened(fields: Mapping[str, object], first: int) -> str:
    """The line with less of each value, until it is short enough; with the first fields alone at the last."""
    for most in MAX_TEXTS:
        line = _json({name: _plain(value, most) for name, value in fields.items()})
        if _fits(line):
            return line
    return _json({name: _plain(value, MAX_TEXTS[-1]) for name, value in islice(fields.items(), first)})


def _plain(value: object, most: int, depth: int = 0) -> Any:
    """What can always be encoded, with at most so many characters of each text."""
    match value:
        case None | bool() | float():
            return value
        case int() if -(2**63) <= value < 2**64:
            return value
        case str():
            return _cut(_SURROGATES.sub("\ufffd", value), most)
        case Mapping() if depth < MAX_DEPTH:
            return {_text(key, 100): _plain(each, most, depth + 1) for key, each in islice(value.items(), MAX_ITEMS)}
        case list() | tuple() | set() | frozenset() if depth < MAX_DEPTH:
            items = [_plain(each, most, depth + 1) for each in islice(value, MAX_ITEMS)]
            return items if len(value) <= MAX_ITEMS else [*items, f"... {len(value) - MAX_ITEMS} more"]
        case _:
            return _text(value, most)


def _text(value: object, most: int) -> str:
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - as above
        text = f"a {type(value).__name__}"
    return _cut(_SURROGATES.sub("\ufffd", text), most)


def _cut(text: str, most: int) -> str:
    """Its start and its end: the last line of a traceback says what happened."""
    if len(text) <= most:
        return text
    start = most // 2
    return f"{text[:start]} [... {len(text) - most} characters ...] {text[start - most :]}"

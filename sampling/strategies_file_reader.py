"""Reading a strategies file as leniently as Jaeger v2.20, with a warning where something is cut, dropped or guessed."""

import hashlib
import re
from collections.abc import Generator

import msgspec

from sampling.json_cursor import JsonCursor, JsonError
from sampling.records import Rules
from sampling.slices import at_once
from sampling.strategies_file import MAX_WARNINGS, FileWarning, StrategiesFile, StrategiesFileError
from sampling.strategies_file_entry import ServiceEntry, folded, shown, wrong_type
from sampling.strategies_file_rules import operations_of, strategy_of, text_of

_HASHED_AT_ONCE = 2**16

_encode = msgspec.json.Encoder().encode


def read(data: bytes) -> StrategiesFile:
    """Read a whole file.

    Raises:
        StrategiesFileError: for what Jaeger refuses at its start, or crashes on.
    """
    return at_once(read_in_slices(data))


def read_in_slices(data: bytes) -> Generator[None, None, StrategiesFile]:
    """Read a whole file as ``read`` does, yielding often so that the event loop can turn in between.

    Only two things are done in one piece: the decoding of the text, and the parsing of one service's JSON.
    """
    digest = hashlib.sha256()
    for start in range(0, len(data), _HASHED_AT_ONCE):
        digest.update(data[start : start + _HASHED_AT_ONCE])
        yield
    try:
        return (yield from _Reading(_text(data)).document(digest.hexdigest()))
    except JsonError as error:
        raise StrategiesFileError(str(error)) from None


def _text(data: bytes) -> str:
    if not data.strip(b" \t\r\n"):
        raise StrategiesFileError("the file is empty; a file that configures nothing is {}")
    if data.startswith(b"\xef\xbb\xbf"):
        raise StrategiesFileError("line 1, column 1: a byte order mark; save the file as UTF-8 without one")
    try:
        return data.decode()
    except UnicodeDecodeError:
        # Go puts one U+FFFD for each byte that is not UTF-8; Python's own replacement puts one for a run of them.
        return re.sub("[\udc80-\udcff]", "\ufffd", data.decode(errors="surrogateescape"))


class _Warnings:
    def __init__(self) -> None:
        self.kept: list[FileWarning] = []
        self.count = 0

    def warn(self, path: str, message: str) -> None:
        self.count += 1
        if len(self.kept) < MAX_WARNINGS:
            self.kept.append(FileWarning(path, message))


class _Services:
    """The services of one reading of the list."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.rate_limited = 0
        """How many entries have a rate limit."""
        self.warnings = _Warnings()
        self.problem: StrategiesFileError | None = None
        """What makes the list unusable, unless a repeated list is laid over it."""
        self._shared: dict[bytes, bytes] = {}
        self._plain: dict[tuple[str | None, float | None], bytes] = {}

    def add(self, entry: ServiceEntry | None, path: str) -> Generator[None, None, None]:
        try:
            yield from self._add(entry, path)
        except StrategiesFileError as problem:
            self.problem = self.problem or problem

    def _add(self, entry: ServiceEntry | None, path: str) -> Generator[None, None, None]:
        if entry is None:
            raise StrategiesFileError(f"{path}: must be an object, not null; Jaeger crashes on it")
        warn = self.warnings.warn
        name = text_of(entry.service or "", f"{path}.service", warn)
        if not name:
            warn(f"{path}.service", "is missing; the entry answers clients that give no name")
        if name in self.bodies:
            warn(f"{path}.service", f"{shown(name)} is listed twice; the last entry stands")
        if entry.type == "ratelimiting":
            self.rate_limited += 1
        if entry.operations:
            self.bodies[name] = yield from self._body(entry, path)
            return
        # Most services have only a strategy that many others have too.
        body = self._plain.get((entry.type, entry.param))
        if body is None:
            before = self.warnings.count
            body = yield from self._body(entry, path)
            if self.warnings.count == before:
                self._plain[entry.type, entry.param] = body
        self.bodies[name] = body

    def _body(self, entry: ServiceEntry, path: str) -> Generator[None, None, bytes]:
        warn = self.warnings.warn
        strategy = strategy_of(entry, path, warn)
        operations = yield from operations_of(entry, path, warn)
        if strategy.type == "ratelimiting" and operations is not None:
            warn(f"{path}.operation_strategies", "are dropped: clients would drop the rate limit beside them")
            operations = None
        body = _encode(Rules(strategy, operations))
        return self._shared.setdefault(body, body)


class _Reading:
    """A file while it is being read."""

    def __init__(self, text: str) -> None:
        self._cursor = JsonCursor(text)
        self._warnings = _Warnings()
        self._default: ServiceEntry | None = None
        self._services = _Services()
        self._lists: list[int] = []
        """Where the lists begin that make up the services: more than one only where the key is repeated."""

    def document(self, sha256: str) -> Generator[None, None, StrategiesFile]:
        cursor = self._cursor
        if cursor.at("{"):
            for key in cursor.members():
                name = folded(key)
                if name == "default_strategy":
                    yield from self._read_default(cursor.value())
                elif name == "service_strategies":
                    yield from self._read_services()
                else:
                    self._warnings.warn("document", f"the key {shown(key)} is unknown and is ignored")
                    cursor.value()
        elif (value := cursor.value()) is not None:
            raise wrong_type("document", "an object", value)
        cursor.finish()
        if self._services.problem is not None:
            raise self._services.problem
        default = None if self._default is None else (yield from self._make_default(self._default))
        warnings = self._warnings.kept + self._services.warnings.kept
        return StrategiesFile(
            services=self._services.bodies,
            default=default,
            sha256=sha256,
            warnings=tuple(warnings[:MAX_WARNINGS]),
            warning_count=self._warnings.count + self._services.warnings.count,
        )

    def _read_default(self, value: object) -> Generator[None, None, None]:
        path, warn = "default_strategy", self._warnings.warn
        if self._default is not None:
            warn(path, "is given twice; the later one is laid over the earlier one, as in Jaeger")
        if value is None:
            self._default = None
            return
        self._default = self._default or ServiceEntry()
        yield from self._default.fill(value, path, warn)

    def _make_default(self, entry: ServiceEntry) -> Generator[None, None, Rules]:
        path, warn = "default_strategy", self._warnings.warn
        if entry.service is not None:
            warn(f"{path}.service", "is ignored: the default has no name")
        strategy = strategy_of(entry, path, warn)
        operations = yield from operations_of(entry, path, warn)
        if operations is not None and strategy.type == "ratelimiting":
            warn(
                f"{path}.operation_strategies",
                "are sent to services with a probability only: clients would drop the default's own rate limit",
            )
        if operations is not None and self._services.rate_limited:
            warn(
                f"{path}.operation_strategies",
                f"are not sent to services with a rate limit ({self._services.rate_limited} here): "
                "clients would drop the limit",
            )
        return Rules(strategy, operations)

    def _read_services(self) -> Generator[None, None, None]:
        path, cursor = "service_strategies", self._cursor
        if self._lists:
            self._warnings.warn(path, "is given twice; the later list is laid over the earlier one, as in Jaeger")
        self._lists.append(cursor.position)
        self._services = _Services()
        if not cursor.at("["):
            if (value := cursor.value()) is not None:
                raise wrong_type(path, "a list", value)
            self._lists.clear()
        elif len(self._lists) == 1:
            for index in cursor.elements():
                place = f"{path}[{index}]"
                entry = yield from self._laid_over(None, place)
                yield from self._services.add(entry, place)
                yield
        else:
            yield from self._read_services_again()

    def _read_services_again(self) -> Generator[None, None, None]:
        """Lay a repeated list over the earlier ones, element by element; only the last decides how many there are."""
        path, cursor = "service_strategies", self._cursor
        entries: list[ServiceEntry | None] = []
        length = 0
        for position in self._lists:
            cursor.position = position
            length = 0
            for index in cursor.elements():
                if index == len(entries):
                    entries.append(None)
                entries[index] = yield from self._laid_over(entries[index], f"{path}[{index}]")
                length = index + 1
                yield
            if length == 0:
                entries.clear()
        for index in range(length):
            yield from self._services.add(entries[index], f"{path}[{index}]")
            yield

    def _laid_over(self, earlier: ServiceEntry | None, path: str) -> Generator[None, None, ServiceEntry | None]:
        value = self._cursor.value()
        if value is None:
            return None
        entry = earlier or ServiceEntry()
        yield from entry.fill(value, path, self._services.warnings.warn)
        return entry

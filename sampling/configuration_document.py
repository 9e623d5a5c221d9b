"""Reading a whole configuration from a document in our own format, ``tracing-config/1``, strictly.

``configuration_document_outline`` tells what a document is, and ``configuration_document_writer`` writes one.
"""

import json
import re
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import msgspec

from sampling.choices import with_choices
from sampling.configuration_document_outline import SECTIONS, Outline, Part
from sampling.json_cursor import JsonCursor
from sampling.records import (
    DEFAULT_KEY,
    RECORD_TYPES,
    Key,
    Kind,
    Record,
    RecordType,
    SamplingPolicy,
    ServiceConfiguration,
    encode_record,
)
from sampling.strategy import check_name

FORMAT = "tracing-config/1"

MAX_ERRORS = 100
"""So many bad entries of one document are told, the first ones."""

_HALF_A_PAIR = re.compile(r"\\u[dD][89a-fA-F]")

_KIND_OF: dict[str, Kind] = {"services": "service", "policies": "policy", "boosts": "boost"}
_DEPTH = 10
"""A record has three levels."""

_REMEMBERED = 10_000
_REMEMBERED_CHARACTERS = 4096

Check = Callable[[Key, Record], None]
"""Raises ValueError, naming the field, for a record that cannot be taken."""


class BadEntry(NamedTuple):
    """One entry that cannot be taken."""

    path: str
    """Of the entry: ``services["checkout"]``. The error names the field within."""

    error: ValueError


class _DefaultPolicy(SamplingPolicy, frozen=True):
    """The default, whose pattern may be left out."""

    service_pattern: str = "*"


class DocumentReading:
    """One reading of a document: run ``in_slices``, then look at ``errors``, ``records`` and ``boosts``.

    Args:
        outline: of the same text.
        owner: manages the records from now on; None: whom the document says.
        check: what a record must hold beside its own rules.
    """

    def __init__(self, cursor: JsonCursor, outline: Outline, owner: str | None, check: Check) -> None:
        self._cursor, self._outline, self._owner, self._check = cursor, outline, owner, check
        self.done = 0
        """How many entries are read so far."""
        self.errors: list[BadEntry] = []
        """The first MAX_ERRORS."""
        self.records: dict[Key, bytes] = {}
        """The canonical text of every service and policy, and of the default where the document has one."""
        self.boosts = 0
        self._bodies: dict[str, bytes] = {}
        """Most services have a text that others have too."""

    def in_slices(self) -> Generator[None, None, None]:
        """Read everything that the outline names; yields after each entry."""
        seen: set[str] = set()
        for part in self._outline.parts:
            self._cursor.position = part.position
            if part.key in seen:
                self.refuse(part.key, ValueError("is given twice in the document; remove one"))
            elif part.key in SECTIONS:
                yield from self._read_section(part)
            else:
                self._read_member(part)
            seen.add(part.key)
            yield
            if len(self.errors) >= MAX_ERRORS:
                return

    def refuse(self, path: str, error: ValueError) -> None:
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(BadEntry(path, error))

    def _read_member(self, part: Part) -> None:
        value = self._cursor.value()
        text = self._cursor.text_since(part.position)
        try:
            if part.key == "default":
                if value is not None:
                    self.records[DEFAULT_KEY] = self._default_body(value, text)
            else:
                _check_header(part.key, value)
        except ValueError as error:
            self.refuse(part.key, error)

    def _default_body(self, value: Any, text: str) -> bytes:
        _refuse_repeated(value)
        given = _decoded(_DefaultPolicy, text)
        if given.service_pattern != "*":
            raise ValueError("servicePattern: must be `*`: the default is for every service")
        for field, said in (("priority", given.priority), ("startsAt", given.starts_at), ("endsAt", given.ends_at)):
            if said:
                raise ValueError(f"{field}: remove it: the default stands below all policies, always")
        return self._body(DEFAULT_KEY, SamplingPolicy(**msgspec.structs.asdict(given)))

    def _read_section(self, part: Part) -> Generator[None, None, None]:
        cursor, section, kind = self._cursor, part.key, _KIND_OF[part.key]
        if not cursor.at("{"):
            self.refuse(section, ValueError("must be an object: records by name"))
            return
        places: dict[str, int] = {}
        for number, name in enumerate(cursor.members(), 1):
            begin = cursor.position
            value = cursor.value()
            self.done += 1
            try:
                if (first := places.setdefault(name, number)) != number:
                    raise ValueError(f"is given twice, as entries {first} and {number} of {section}; remove one")
                self._add(Key(kind, name), value, cursor.text_since(begin))
            except ValueError as error:
                self.refuse(f"{section}[{shown_name(name)}]", error)
                if len(self.errors) >= MAX_ERRORS:
                    return
            yield

    def _add(self, key: Key, value: Any, text: str) -> None:
        check_name("name", key.name)
        if key == DEFAULT_KEY:
            raise ValueError("the default is no policy among others: give it as `default` at the top of the document")
        body = self._bodies.get(text) if key.kind == "service" else None
        if body is None:
            _refuse_repeated(value)
            body = self._body(key, _decoded(RECORD_TYPES[key.kind], text))
            if key.kind == "service" and len(text) <= _REMEMBERED_CHARACTERS and len(self._bodies) < _REMEMBERED:
                self._bodies[text] = body
        if key.kind == "boost":
            self.boosts += 1
        else:
            self.records[key] = body

    def _body(self, key: Key, record: Record) -> bytes:
        self._check(key, record)
        if isinstance(record, ServiceConfiguration | SamplingPolicy):
            if record.managed_by is not None:
                check_name("managedBy", record.managed_by)
            if self._owner is not None:
                record = msgspec.structs.replace(record, managed_by=self._owner)
        return encode_record(record)


def _decoded(record_type: type[RecordType], text: str) -> RecordType:
    try:
        return msgspec.json.decode(text, type=record_type)
    except msgspec.ValidationError as error:
        raise with_choices(error, record_type) from None
    except msgspec.DecodeError:
        if _HALF_A_PAIR.search(text):
            raise ValueError("has a text with half of a surrogate pair in it, which is no valid Unicode") from None
        raise


def _check_header(key: str, value: Any) -> None:
    """Refuse what says of a document where it comes from, but cannot be."""
    if key == "format":
        if value != FORMAT:
            raise ValueError(f"must be {FORMAT!r}, the only format that this version knows")
    elif key == "revision":
        if not isinstance(value, float) or value < 0 or not value.is_integer():
            raise ValueError("must be a whole number, 0 or more")
    elif key in ("commitId", "storeId"):
        if not isinstance(value, str):
            raise ValueError("must be a string")
    elif key == "unreadable":
        raise ValueError("names records that could not be read when the document was made; mend them, and remove it")
    elif key == "strategies":
        raise ValueError("is not known; of an export in Jaeger's format, import what stands under this key")
    else:
        raise ValueError(f"is not known; a document has format, default, {', '.join(SECTIONS)}")


def _refuse_repeated(value: Any, path: str = "", depth: int = 0) -> None:
    """Refuse an object, as ``JsonCursor`` gives it, in which a key is given twice: readers differ in which they take."""
    if depth > _DEPTH:
        raise ValueError(f"{path}: is nested too deeply")
    if type(value) is tuple:
        seen: set[str] = set()
        for key, member in value:
            place = f"{path}.{key}" if path else key
            if key in seen:
                raise ValueError(f"{place}: is given twice; remove one")
            seen.add(key)
            if type(member) in (tuple, list):
                _refuse_repeated(member, place, depth + 1)
    elif type(value) is list:
        for index, member in enumerate(value):
            if type(member) is tuple:
                _refuse_repeated(member, f"{path}[{index}]", depth + 1)


def shown_name(name: str) -> str:
    """A name in a path, quoted as in JSON and of bounded length."""
    valid = (name if len(name) <= 100 else f"{name[:97]}...").encode(errors="replace").decode()
    return json.dumps(valid, ensure_ascii=False)

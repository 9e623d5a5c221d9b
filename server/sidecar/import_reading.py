"""Reading a document that is to be imported, of either format, in slices."""

from collections.abc import Generator, Mapping, Sequence
from typing import NamedTuple

from sampling.configuration_document import DocumentReading
from sampling.configuration_document_outline import DocumentError, Outline, outline_in_slices
from sampling.jaeger_import import JaegerImport
from sampling.json_cursor import JsonCursor, JsonError
from sampling.records import DEFAULT_POLICY, Key, Record, SamplingPolicy
from sampling.strategies_file import FileWarning, StrategiesFile, StrategiesFileError
from sampling.strategies_file_reader import read_in_slices
from server.sidecar.errors import InvalidField, Problem, invalid_record
from server.sidecar.policies_api import check_says_something, policy_key

SHOWN_ERRORS = 100
"""So many bad spots are named in one problem."""


class Imported(NamedTuple):
    """What a document has."""

    records: Mapping[Key, bytes]
    """Canonical texts of services, policies and the default."""

    boosts: int = 0
    """They are left alone."""

    warnings: Sequence[FileWarning] = ()
    """The first of them."""

    warning_count: int = 0


class ImportReading:
    """One reading of the body of a request: ``done`` of ``total`` entries so far."""

    def __init__(self, body: bytes, owner: str | None, *, lenient: bool) -> None:
        self._body, self._owner, self._lenient = body, owner, lenient
        self.total = 0
        """Is known when the document was walked once."""
        self._ours: DocumentReading | None = None
        self._steps = 0

    @property
    def done(self) -> int:
        return min(self._ours.done if self._ours is not None else self._steps, self.total)

    def in_slices(self) -> Generator[None, None, Imported]:
        """Read it; yields often.

        Raises:
            Problem: 400 for what is no JSON object, 422 with all bad spots for what cannot be taken.
        """
        # What is not UTF-8 the reader of Jaeger's files knows what to make of.
        cursor = JsonCursor(self._body.decode(errors="surrogateescape"))
        try:
            outline = yield from outline_in_slices(cursor)
            self.total = outline.entries
            if outline.format == "jaeger":
                del cursor
                return (yield from self._jaeger())
            self._body.decode()
        except JsonError as error:
            raise Problem(400, "malformed-json", str(error)) from None
        except UnicodeDecodeError:
            raise Problem(400, "malformed-json", "the body is not UTF-8") from None
        except DocumentError as error:
            raise _refusal([_spot(str(error))], 1) from None
        return (yield from self._our_own(cursor, outline))

    def _our_own(self, cursor: JsonCursor, outline: Outline) -> Generator[None, None, Imported]:
        self._ours = reading = DocumentReading(cursor, outline, self._owner, _check)
        yield from reading.in_slices()
        if reading.errors:
            raise _refusal([invalid_record(bad.error, bad.path) for bad in reading.errors], len(reading.errors))
        return Imported(reading.records, reading.boosts)

    def _jaeger(self) -> Generator[None, None, Imported]:
        try:
            file = yield from self._counted(read_in_slices(self._body))
        except StrategiesFileError as error:
            raise _refusal([_spot(str(error))], 1) from None
        made = JaegerImport(file, self._owner)
        yield from made.in_slices()
        if made.warning_count and not self._lenient:
            spots = [InvalidField(warning.path, warning.message) for warning in made.warnings[:SHOWN_ERRORS]]
            raise _refusal(spots, made.warning_count, "; mend the file, or take it with lenient=true as Jaeger would")
        return Imported(made.records, 0, made.warnings, made.warning_count)

    def _counted(self, work: Generator[None, None, StrategiesFile]) -> Generator[None, None, StrategiesFile]:
        """The same work; its steps are nearly one for each service."""
        while True:
            try:
                next(work)
            except StopIteration as end:
                file: StrategiesFile = end.value
                return file
            self._steps += 1
            yield


def _check(key: Key, record: Record) -> None:
    """What a PUT of the record refuses too."""
    if not isinstance(record, SamplingPolicy):
        return
    try:
        if key.name != DEFAULT_POLICY:
            policy_key(key.name)
            check_says_something(record)
        elif record.enabled:
            check_says_something(record)
    except InvalidField as refused:
        raise ValueError(f"{refused.field}: {refused.message}") from None


def _spot(message: str) -> InvalidField:
    """A refusal whose message begins with the path."""
    path, _, reason = message.partition(": ")
    return InvalidField(path, reason)


def _refusal(spots: Sequence[InvalidField], count: int, cure: str = "") -> Problem:
    """All bad spots in one problem, the first ones by name."""
    first = spots[0]
    more = f" (and {count - 1} more)" if count > 1 else ""
    errors = [{"field": spot.field, "message": spot.message} for spot in spots]
    return Problem(422, "invalid-field", f"{first.field}: {first.message}{more}{cure}", errors=errors)

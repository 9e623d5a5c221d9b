"""What requests carry: bodies, query parameters, names, entity tags. All of it bounded."""

import asyncio
import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin
from urllib.parse import unquote_to_bytes

import msgspec
from aiohttp import web

from sampling.choices import with_choices
from sampling.records import Key
from sampling.strategy import check_name
from server.sidecar.errors import InvalidField, Problem, invalid_record
from server.sidecar.views import READ_ONLY
from storage.interface import ABSENT, PRESENT

MAX_BODY_BYTES = 1024 * 1024
BODY_SECONDS = 10.0

MAX_CURSOR = 1100
"""Characters: the longest name with what some list puts before it."""

Decoded = TypeVar("Decoded")


class Query(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The query parameters of a path, one field each; one that is not known is refused, so that nobody believes it did
    something. One whose type is a tuple may be given several times."""


class PageQuery(Query, frozen=True):
    """Of lists."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000, description="How many at most.")] = 100
    cursor: Annotated[str, msgspec.Meta(max_length=MAX_CURSOR, description="The `nextCursor` of the page before.")] = ""


class WriteQuery(Query, frozen=True):
    """Of everything that changes the configuration."""

    reason: Annotated[str, msgspec.Meta(max_length=1024, description="Goes into the log of changes.")] = ""
    takeover: Annotated[bool, msgspec.Meta(description="Write records of other owners too.")] = False
    dry_run: Annotated[bool, msgspec.Meta(description="Change nothing; answer what would change.")] = False

    def __post_init__(self) -> None:
        if "\0" in self.reason:
            raise ValueError("reason: must not contain the character U+0000, which no database keeps")


def read_query(request: web.Request, query_type: type[Decoded] | None) -> Decoded | None:
    """The query parameters of a request.

    Raises:
        InvalidField: 400 for one that is unknown, repeated or cannot be taken.
    """
    repeated = {} if query_type is None else _parameters(cast("type[Query]", query_type))
    given: dict[str, str | list[str]] = {}
    for name in dict.fromkeys(request.query):
        if name not in repeated:
            raise InvalidField(name, f"is no query parameter of this path, which has: {', '.join(repeated) or 'none'}", 400)
        values = request.query.getall(name)
        if len(values) > 1 and not repeated[name]:
            raise InvalidField(name, "is given more than once", 400)
        given[name] = values if repeated[name] else values[0]
    if query_type is None:
        return None
    try:
        return msgspec.convert(given, query_type, strict=False)
    except ValueError as error:
        problem = invalid_record(with_choices(error, query_type))
        raise InvalidField(problem.field, problem.message, 400) from None


@cache
def _parameters(query_type: type[Query]) -> Mapping[str, bool]:
    """The names, and whether each may be given several times."""
    return {field.encode_name: _may_be_repeated(field.type) for field in msgspec.structs.fields(query_type)}


def _may_be_repeated(field_type: Any) -> bool:
    return get_origin(get_args(field_type)[0] if get_origin(field_type) is Annotated else field_type) is tuple


async def read_body(request: web.Request, limit: int, seconds: float = BODY_SECONDS) -> bytes:
    """The bytes of a body, decompressed.

    Raises:
        Problem: 400 for one that is cut off or cannot be decompressed, 408 for a slow one, 413 for too much.
    """
    too_large = Problem(413, "body-too-large", f"the body is larger than the {limit} bytes that this path takes")
    if (request.content_length or 0) > limit:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > limit:
                    raise too_large
    except TimeoutError:
        raise Problem(408, "body-too-slow", f"the body did not arrive within {seconds:g} s") from None
    except (web.RequestPayloadError, ConnectionError):
        detail = "the body is cut off, or is not compressed as its Content-Encoding says"
        raise Problem(400, "malformed-body", detail) from None
    return bytes(body)


async def read_record(request: web.Request, record_type: type[Decoded], limit: int) -> Decoded:
    """The JSON object in a body, as this type.

    Raises:
        Problem: as ``read_body``; 400 for what is no JSON object, 422 naming the field for anything else.
    """
    body = await read_body(request, limit)
    try:
        members = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Problem(400, "malformed-json", str(error)) from None
    except UnicodeDecodeError:
        raise Problem(400, "malformed-json", "the body is not UTF-8") from None
    except RecursionError:
        raise Problem(400, "malformed-json", "the body is nested too deeply") from None
    if not isinstance(members, dict):
        raise Problem(400, "malformed-json", "the body must be a JSON object")
    return record_of(members, record_type)


def record_of(members: dict[str, Any], record_type: type[Decoded], place: str = "") -> Decoded:
    """Members of an object as a type, without those that only answers have.

    Raises:
        InvalidField: 422; ``place`` comes before the field's name.
    """
    read_only = READ_ONLY.get(record_type, frozenset())
    try:
        return msgspec.convert({key: value for key, value in members.items() if key not in read_only}, record_type)
    except ValueError as error:
        raise invalid_record(with_choices(error, record_type), place) from None


def name_in_path(request: web.Request, field: str) -> str:
    """The percent-decoded name of a record, checked.

    Raises:
        InvalidField: 422 where no record can have that name.
    """
    try:
        # The router leaves bytes that are no UTF-8 as they were sent: `%FF` would become a name of its own.
        name = unquote_to_bytes(request.rel_url.raw_parts[-1]).decode()
        check_name(field, name)
    except UnicodeDecodeError:
        raise InvalidField(field, "must be UTF-8, percent-encoded") from None
    except ValueError as error:
        raise invalid_record(error) from None
    return name


_TAG = re.compile(r'^(?:W/)?("[0-9]+-[0-9a-f]{8}")$')


def expected_tag(text: str, place: str = "If-Match") -> str:
    """What an ``If-Match`` says a record must be at, as in ``Terms.expected``.

    Raises:
        Problem: 400 for what is no entity tag of ours; ``place`` names where it stood.
    """
    if text.strip() == "*":
        return PRESENT
    found = _TAG.match(text.strip())
    if found is None:
        raise Problem(400, "bad-precondition", f'{place}: give the one ETag of the record, like "120-3f9a1c02", or `*`')
    return found[1]


def expected_of(request: web.Request, key: Key) -> dict[Key, str]:
    """What the headers ``If-Match`` and ``If-None-Match`` say a write expects; raises as ``expected_tag``."""
    match, none_match = request.headers.get("If-Match"), request.headers.get("If-None-Match")
    if len(request.headers.getall("If-Match", ())) > 1:
        raise Problem(400, "bad-precondition", "If-Match: is given more than once; send one")
    if none_match is not None:
        if none_match.strip() != "*" or match is not None or request.method == "DELETE":
            detail = "If-None-Match: a PUT or POST takes `*` only, and no If-Match beside it; a DELETE takes none"
            raise Problem(400, "bad-precondition", detail)
        return {key: ABSENT}
    return {} if match is None else {key: expected_tag(match)}

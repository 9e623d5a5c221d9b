"""What requests to the configuration API carry: bodies, query parameters, entity tags. All of it bounded."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from sampling.records import Key, Stored
from sampling.strategy import check_name
from server.sidecar.errors import InvalidField, Problem, invalid_record
from server.sidecar.views import READ_ONLY
from storage.errors import PointMismatch
from storage.interface import ABSENT

BODY_SECONDS = 10.0
MAX_REASON = 1024
MAX_LIMIT = 1000
DEFAULT_LIMIT = 100

RecordType = TypeVar("RecordType")


async def read_record(request: web.Request, record_type: type[RecordType], **given: object) -> RecordType:
    """The record in a body; ``given`` are members that the path decides.

    Raises:
        Problem: 400 for what is no JSON object, 408 for a slow body, 413 for too much, 422 naming the field for anything else.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await request.read()
    except TimeoutError:
        raise Problem(408, "body-too-slow", f"the body did not arrive within {BODY_SECONDS:g} s") from None
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
    written: dict[str, Any] = {key: value for key, value in members.items() if key not in READ_ONLY}
    try:
        return msgspec.convert({**written, **given}, record_type)
    except ValueError as error:
        raise invalid_record(error) from None


def name_in_path(request: web.Request, field: str) -> str:
    """The percent-decoded name of a record, checked.

    Raises:
        InvalidField: 422 where no record can have that name.
    """
    name: str = request.match_info["name"]
    try:
        check_name(field, name)
    except ValueError as error:
        raise invalid_record(error) from None
    return name


def query_of(request: web.Request, *known: str) -> Mapping[str, str]:
    """The query parameters; one that is not known is refused, so that nobody believes it did something."""
    for name in request.query:
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise InvalidField(name, f"is no query parameter of this path, which has: {allowed}", 400)
        if len(request.query.getall(name)) > 1:
            raise InvalidField(name, "is given more than once", 400)
    return request.query


def reason_of(query: Mapping[str, str]) -> str:
    reason = query.get("reason", "")
    if len(reason) > MAX_REASON:
        raise InvalidField("reason", f"has {len(reason)} characters; at most {MAX_REASON} are kept")
    if "\0" in reason:
        raise InvalidField("reason", "must not contain the character U+0000, which no database keeps")
    return reason


def flag_of(query: Mapping[str, str], name: str) -> bool:
    value = query.get(name, "false")
    if value not in ("true", "false"):
        raise InvalidField(name, f"is true or false, not {value!r}", 400)
    return value == "true"


def limit_of(query: Mapping[str, str]) -> int:
    text = query.get("limit", str(DEFAULT_LIMIT))
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise InvalidField("limit", f"is a number from 1 to {MAX_LIMIT}, not {text!r}", 400)
    return int(text)


_TAG = re.compile(r'^(?:W/)?("[0-9]+-[0-9a-f]{8}")$')


def expected_of(request: web.Request, key: Key, current: Stored | None) -> dict[Key, str]:
    """What ``If-Match`` and ``If-None-Match`` say a write expects.

    Raises:
        Problem: 400 for a header that is no entity tag of ours.
        PointMismatch: ``If-Match: *`` and there is no record.
    """
    match, none_match = request.headers.get("If-Match"), request.headers.get("If-None-Match")
    if none_match is not None:
        if none_match.strip() != "*" or match is not None:
            raise Problem(400, "bad-precondition", "If-None-Match: a write takes `*` only, and no If-Match beside it")
        return {key: ABSENT}
    if match is None:
        return {}
    if match.strip() == "*":
        if current is None:
            raise PointMismatch(key, "*", None)
        return {}
    found = _TAG.match(match.strip())
    if found is None:
        raise Problem(400, "bad-precondition", 'If-Match: give the one ETag of the record, like "120-3f9a1c02", or `*`')
    return {key: found[1]}

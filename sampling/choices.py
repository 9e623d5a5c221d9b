"""What a value may be, in an error about one that it may not be."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

_NOT_ONE_OF_THEM = re.compile(r"^Invalid enum value .* - at `\$(?P<path>.*)`$", re.DOTALL)
_STEP = re.compile(r"\.(?P<field>\w+)|\[[^\]]*\]")


def with_choices(error: Exception, of: Any) -> Exception:
    """The error, where it is about a value that is none of a few of the type ``of``, with those few named.

    The value itself is left out: it may be a secret in the wrong place.
    """
    found = _NOT_ONE_OF_THEM.match(str(error))
    if found is None:
        return error
    types = [inspect.type_info(of)]
    for step in _STEP.finditer(found["path"]):
        types = [inner for outer in types for inner in _inside(outer, step["field"])]
    choices = dict.fromkeys(str(value) for outer in types for value in _values(outer))
    return msgspec.ValidationError(f"must be one of {', '.join(choices)} - at `${found['path']}`") if choices else error


def _inside(outer: inspect.Type, field: str | None) -> Iterator[inspect.Type]:
    for each in _alternatives(outer):
        if isinstance(each, inspect.StructType):
            yield from (one.type for one in each.fields if one.encode_name == field)
        elif isinstance(each, inspect.ListType | inspect.VarTupleType):
            yield each.item_type


def _values(outer: inspect.Type) -> Iterator[object]:
    for each in _alternatives(outer):
        if isinstance(each, inspect.LiteralType):
            yield from each.values


def _alternatives(outer: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(outer, inspect.Metadata):
        yield from _alternatives(outer.type)
    elif isinstance(outer, inspect.UnionType):
        for each in outer.types:
            yield from _alternatives(each)
    else:
        yield outer

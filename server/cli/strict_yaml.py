"""YAML whose plain scalars mean what they mean in JSON and nothing more: ``no`` is a name, and a date is a text."""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.constructor import ConstructorError


def parse_yaml(content: bytes) -> Iterator[Any]:
    """The documents of a file, one after the other.

    Raises:
        ValueError: it is no YAML, a key is given twice or is no text; in one line, with the place.
    """
    try:
        yield from yaml.load_all(content, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        raise ValueError(f"{where}{error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(" ".join(str(error).split())) from None


class _Loader(yaml.CSafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - declared so by the library


for _tag, _pattern, _first in (
    ("bool", r"true|false", [*"tf"]),
    ("null", r"null|~|", [*"n~", ""]),
    ("int", r"-?(0|[1-9][0-9]*)", [*"-0123456789"]),
    ("float", r"-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?", [*"-.0123456789"]),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
            raise ConstructorError(None, None, f"the key {key.value} is no text; put it in quotes", key.start_mark)
        if key.value in seen:
            raise ConstructorError(None, None, f"the key {key.value!r} is given twice", key.start_mark)
        seen.add(key.value)
    loader.flatten_mapping(node)
    mapping: dict[str, Any] = {}
    yield mapping  # Before its content, which may refer to it.
    mapping.update((key.value, loader.construct_object(value, deep=True)) for key, value in node.value)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)

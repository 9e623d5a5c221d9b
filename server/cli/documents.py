"""Configuration in files: one file or a folder of them, YAML or JSON, put together into the document that an import takes."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sampling.configuration_document import shown_name
from server.cli.strict_yaml import parse_yaml

YAML_SUFFIXES = (".yaml", ".yml")
SUFFIXES = (*YAML_SUFFIXES, ".json")
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_FILES = 10_000

_SAYS_NOTHING = ("format", "revision", "commitId", "storeId", "boosts")
"""What an export has besides records that are imported."""

_JAEGER = {"default_strategy", "service_strategies"}


class DocumentError(ValueError):
    """Is raised for files that cannot be put together; the message names the file and the cure."""


_ENTRY = re.compile(r'^(services|policies)\["(?:[^"\\]|\\.)*"\]|^default\b')
"""The beginning of a path in the document that was put together: which record it is about."""


class Document(NamedTuple):
    """One JSON document, and which file each record of it is from."""

    content: bytes
    files: Mapping[tuple[str, str], str]
    """By section and name; empty where the document is one file as it is."""

    source: str
    """What it was read from, for a person."""

    def located(self, path: str) -> str:
        """A path in the document, with the file that says it."""
        if not (entry := _ENTRY.match(path)):
            return f"{self.source}: {path}" if self.source else path
        shown = {
            section if section == "default" else f"{section}[{shown_name(name)}]": file
            for (section, name), file in self.files.items()
        }
        file = shown.get(entry[0], self.source)
        return f"{file}: {path}" if file else path


def read_document(path: Path, content: bytes | None = None) -> Document:
    """One JSON document from a file, from every such file in a folder and below, or from ``-``, the standard input.

    ``content`` is what was read from the standard input already. Several files add up; a record that two of them give is
    refused. A strategies file in Jaeger's format stands alone.

    Raises:
        DocumentError: a file cannot be read, or does not fit the others.
    """
    if str(path) == "-":
        given = _standard_input() if content is None else content
        return _merged("standard input", [("standard input", _parts("standard input", given))])
    if not path.is_dir():
        content = _content(path)
        if path.suffix == ".json":
            # As it is: the server names the place of an error in this very text, and reads a large one faster.
            return Document(content, {}, str(path))
        return _merged(str(path), [(str(path), _parts(str(path), content))])
    files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file() and not _hidden(file, path))
    if not files:
        raise DocumentError(f"{path}: has no file that ends in {', '.join(SUFFIXES)}")
    if len(files) > MAX_FILES:
        raise DocumentError(f"{path}: has {len(files)} files; at most {MAX_FILES} are read")
    return _merged(str(path), [(str(file), _parts(str(file), _content(file))) for file in files])


def read_record(path: Path) -> dict[str, Any]:
    """One record in a file; ``-`` is the standard input. Raises DocumentError."""
    file = "standard input" if str(path) == "-" else str(path)
    content = _standard_input() if str(path) == "-" else _content(path)
    parts = list(_parts(file, content))
    if len(parts) != 1:
        raise DocumentError(f"{file}: must hold one record")
    return parts[0]


def _standard_input() -> bytes:
    content = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise DocumentError(f"standard input: has more than the {MAX_FILE_BYTES} bytes that are read")
    return content


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _content(file: Path) -> bytes:
    try:
        size = file.stat().st_size
        if size > MAX_FILE_BYTES:
            raise DocumentError(f"{file}: has {size} bytes; at most {MAX_FILE_BYTES} are read")
        return file.read_bytes()
    except OSError as error:
        raise DocumentError(f"{file}: cannot be read: {error.strerror}") from None


def _parts(file: str, content: bytes) -> Iterator[dict[str, Any]]:
    """The documents of a file that say something."""
    try:
        parts = [json.loads(content, object_pairs_hook=_object)] if file.endswith(".json") else parse_yaml(content)
        for part in parts:
            if isinstance(part, dict):
                yield part
            elif part is not None:
                raise DocumentError(f"{file}: must be a mapping with default, services and policies")
    except DocumentError:
        raise
    except ValueError as error:
        raise DocumentError(f"{file}: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = next(key for index, (key, _) in enumerate(pairs) if any(key == other for other, _ in pairs[:index]))
        raise ValueError(f"the key {twice!r} is given twice")
    return members


def _merged(source: str, files: list[tuple[str, Iterator[dict[str, Any]]]]) -> Document:
    merged: dict[str, Any] = {}
    given: dict[tuple[str, str], str] = {}
    for file, parts in files:
        for part in parts:
            if _JAEGER & {key.lower() for key in part}:
                if len(files) > 1:
                    raise DocumentError(f"{file}: is a strategies file in Jaeger's format; give it alone, not in a folder")
                return Document(_encoded(part), {}, file)
            for section, name, record in _records(file, part):
                if (other := given.get((section, name))) is not None:
                    raise DocumentError(f"{file}: {section}: {name!r} is in {other} too; remove one of them")
                given[section, name] = file
                (merged if section == "default" else merged.setdefault(section, {}))[name] = record
    return Document(_encoded(merged), given, source)


def _records(file: str, part: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for section, content in part.items():
        if section == "default":
            yield section, section, content
        elif section in ("services", "policies"):
            if not isinstance(content, dict):
                raise DocumentError(f"{file}: {section}: must map names to records")
            for name, record in content.items():
                yield section, name, record
        elif section not in _SAYS_NOTHING:
            raise DocumentError(f"{file}: {section}: is not known; a file has default, services and policies")


def _encoded(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()

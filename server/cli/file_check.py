"""Checking a file as the server would, without one: a strategies file of Jaeger's, or a configuration of our own."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sampling.configuration_document_outline import DocumentError as OutlineError
from sampling.configuration_document_outline import Format, outline_in_slices
from sampling.json_cursor import JsonCursor, JsonError
from sampling.records import DEFAULT_KEY, DEFAULT_POLICY
from sampling.slices import at_once
from sampling.strategies_file import FileWarning, StrategiesFileError
from sampling.strategies_file_reader import read
from server.cli.documents import YAML_SUFFIXES, Document, DocumentError, read_document
from server.cli.output import counted
from server.sidecar.errors import Problem
from server.sidecar.import_reading import Imported, ImportReading
from server.strategies_file import load_bytes


class FileCheck(NamedTuple):
    """What is to be said of a file."""

    problems: Sequence[str] = ()
    """Each with its place; the first ones."""

    summary: str = ""
    """What is in it, where there is no problem."""

    warnings: Sequence[FileWarning] = ()
    """The first ones."""

    warning_count: int = 0

    @property
    def valid(self) -> bool:
        return not self.problems

    def as_json(self) -> object:
        return {
            "valid": self.valid,
            "problems": self.problems,
            "warnings": [{"path": warning.path, "message": warning.message} for warning in self.warnings],
            "warningCount": self.warning_count,
        }


def check_file(file: Path) -> FileCheck:
    """Check a file, a folder, or ``-``, the standard input."""
    try:
        if file.is_dir() or file.suffix in YAML_SUFFIXES:
            return _check(read_document(file))
        # A shell's <(command) is a pipe.
        content = sys.stdin.buffer.read() if str(file) == "-" else load_bytes(file, pipes=True)
        if str(file) == "-" and content.lstrip()[:1] not in (b"", b"{", b"["):
            return _check(read_document(file, content))
        return _check(Document(content, {}, ""))
    except (DocumentError, StrategiesFileError) as error:
        return FileCheck([str(error)])


def _check(document: Document) -> FileCheck:
    content = document.content
    try:
        form = _format(content)
    except OutlineError as error:
        return FileCheck([str(error)])
    return _check_jaeger(content) if form == "jaeger" else _check_ours(document)


def _format(content: bytes) -> Format:
    """What can be of neither format is for the reader of Jaeger's files to refuse."""
    try:
        outline = at_once(outline_in_slices(JsonCursor(content.decode(errors="surrogateescape"))))
    except JsonError:
        return "jaeger"
    return outline.format if outline.parts else "jaeger"


def _check_jaeger(content: bytes) -> FileCheck:
    file = read(content)
    default = "no default" if file.default is None else "a default"
    return FileCheck((), f"{counted(len(file.services), 'service')}, {default}", file.warnings, file.warning_count)


def _check_ours(document: Document) -> FileCheck:
    try:
        imported: Imported = at_once(ImportReading(document.content, None, lenient=False).in_slices())
    except Problem as problem:
        errors = problem.members.get("errors")
        if not isinstance(errors, list):
            return FileCheck([problem.detail])
        return FileCheck([f"{document.located(error['field'])}: {error['message']}" for error in errors])
    keys = imported.records.keys()
    default = "a default" if DEFAULT_KEY in keys else "no default"
    services = sum(key.kind == "service" for key in keys)
    policies = sum(key.kind == "policy" and key.name != DEFAULT_POLICY for key in keys)
    return FileCheck((), f"{counted(services, 'service')}, {counted(policies, 'policy', 'policies')}, {default}")

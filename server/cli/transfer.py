"""``tracing-config export`` and ``import``: everything at once."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from server.cli.client import DEFAULT_URL, Server, Url
from server.cli.dry_run import DryRun, Reason, Takeover, end_dry_run, say_import_warnings
from server.cli.failures import Failed, WrongUsage, problem_text
from server.cli.output import AsJson, counted, print_json, say, tell
from server.cli.progress import Progress

if TYPE_CHECKING:
    from server.cli.documents import Document

SECONDS = 300.0
"""For an import or export of 100,000 services and more."""

_UPLOADED_AT_ONCE = 256 * 1024

Lenient = Annotated[bool, typer.Option("--lenient", help="Take a strategies file as Jaeger would, with warnings.")]


def export(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file; the standard output without it.")] = None,
    revision: Annotated[int | None, typer.Option("--revision", help="As it was at this revision.")] = None,
    format: Annotated[  # noqa: A002 - the option's name
        Literal["tracing-config", "jaeger"],
        typer.Option("--format", help="Ours, without loss, or a strategies file for Jaeger."),
    ] = "tracing-config",
    as_json: Annotated[
        bool, typer.Option("--json", help="The server's whole answer: for Jaeger also what its format cannot say.")
    ] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Write the whole configuration as JSON. What Jaeger's format cannot say is told on the standard error."""
    params = {"revision": revision, "format": "jaeger" if format == "jaeger" else None}
    answer: dict[str, Any] = Server(url).ask("GET", "/config/export", params=params, seconds=SECONDS)
    document = answer
    if format == "jaeger" and not as_json:
        for one in answer["cannotExpress"]:
            tell(f"not in the file: {one['kind']} {one['name']}: {one['reason']}")
        document = answer["strategies"]
    if output is None:
        print_json(document)
        return
    try:
        output.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise Failed(f"{output}: cannot be written: {error.strerror}") from None
    tell(f"revision {answer['revision']} is in {output}")


def import_(
    file: Annotated[
        Path, typer.Argument(help="Ours or Jaeger's format, JSON or YAML; a folder of such files; - is the standard input.")
    ],
    mode: Annotated[
        Literal["merge", "replace"],
        typer.Option(
            "--mode", help="replace also deletes what the owner has (without one: what nobody manages) and the file does not."
        ),
    ] = "merge",
    owner: Annotated[str | None, typer.Option("--owner", help="Who manages the records from now on.")] = None,
    lenient: Lenient = False,
    reason: Reason = None,
    takeover: Takeover = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Write what a file has: all as one revision, or nothing."""
    if owner is not None:
        check_owner(owner)
    params = {"mode": mode, "owner": owner, "lenient": lenient or None, "takeover": takeover or None}
    document = document_of(file)
    if dry_run:
        end_dry_run(send(Server(url), document, {**params, "dryRun": True}), as_json=as_json)
    answer = send(Server(url), document, {**params, "reason": reason})
    if as_json:
        print_json(answer)
    else:
        say_imported(answer)
        if owner is None and (answer["written"] or answer["deleted"]):
            say(f"`tracing-config rollback {answer['revision'] - 1}` takes it back.")


def check_owner(owner: str) -> None:
    """Refuse what an unset variable of a shell gives: to the API it means what nobody manages, and that would be pruned.

    Raises:
        WrongUsage: it is empty, or has white space around it.
    """
    if not owner or owner != owner.strip():
        raise WrongUsage(f"--owner: {owner!r} is no owner; name a team or repository, without white space around it")


def document_of(file: Path) -> "Document":
    """The document in files. Raises Failed."""
    from server.cli.documents import DocumentError, read_document  # noqa: PLC0415 - its parser takes long to start

    try:
        return read_document(file)
    except DocumentError as error:
        raise Failed(str(error)) from None


def send(server: Server, document: "Document", params: Mapping[str, object]) -> Any:
    """Import a document, with a progress bar on a terminal; the server's answer.

    Raises:
        Failed: nothing was changed, or nobody knows.
    """
    content = document.content
    with Progress(enabled=sys.stderr.isatty()) as progress:

        def upload() -> Iterator[bytes]:
            for start in range(0, len(content), _UPLOADED_AT_ONCE):
                yield content[start : start + _UPLOADED_AT_ONCE]
                done = min(start + _UPLOADED_AT_ONCE, len(content))
                progress.show("uploading", done, len(content), f"{done / 1e6:.1f} of {len(content) / 1e6:.1f} MB")

        headers = {"Accept": "application/x-ndjson", "Content-Type": "application/json", "Content-Length": str(len(content))}
        lines = server.lines("POST", "/config/import", params=params, content=upload(), headers=headers, seconds=SECONDS)
        for line in lines:
            step = json.loads(line)
            if "result" in step:
                return step["result"]
            if "problem" in step:
                raise Failed(problem_text(_located(step["problem"], document)))
            done, total = step["done"], step["total"]
            if step["stage"] == "reading":
                progress.show("reading", done, total, f"{done} of {counted(total, 'entry', 'entries')}")
            else:
                progress.show(step["stage"], 0, None, counted(total, "record"))
    raise Failed("the server ended its answer early; `tracing-config history` tells whether the import is there")


def _located(problem: dict[str, Any], document: "Document") -> dict[str, Any]:
    """A problem of the server, with the files that its fields are from."""
    errors = [{**error, "field": document.located(error["field"])} for error in problem.get("errors", ())]
    if not errors:
        return problem
    detail = problem["detail"].replace(problem["errors"][0]["field"], errors[0]["field"], 1)
    return {**problem, "detail": detail, "errors": errors}


def say_imported(answer: Mapping[str, Any]) -> None:
    """What an import did."""
    say_import_warnings(answer)
    written, deleted, revision = answer["written"], answer["deleted"], answer["revision"]
    if not written and not deleted:
        say(f"Nothing to do: everything is so already (revision {revision}).")
        return
    say(f"{counted(written, 'record')} written, {deleted} deleted, {answer['unchanged']} unchanged (revision {revision})")

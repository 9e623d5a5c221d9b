"""``tracing-config doctor``: everything that a server with these settings needs, looked at in turn, and what to do about it."""

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from server.cli.output import counted, print_json, say
from server.cli.progress import Progress
from server.cli.table import NOTHING, say_table

if TYPE_CHECKING:
    from server.cli.diagnosis import Finding

HEADINGS = ("what", "where", "result", "took", "cure")


def doctor(
    no_spans: Annotated[bool, typer.Option("--no-spans", help="Send no span to Jaeger and Zipkin.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Look at everything that the server needs, and say what to do about what is wrong.

    The settings are those of the server: run it where they are set, with or without a server beside it. It changes nothing,
    but sends a span of the service tracing-config-doctor to each of Jaeger and Zipkin. Ends with 0 when all is well.
    """
    # The report comes before the loop is closed: that waits for a name server that does not answer.
    with asyncio.Runner() as runner, _quiet():
        findings = runner.run(_examine(spans=not no_spans))
        failed = sum(finding.state == "failed" for finding in findings)
        if as_json:
            _print_as_json(findings, failed)
        else:
            say_table(HEADINGS, [_row(finding) for finding in findings])
            say(f"{counted(failed, 'check')} failed" if failed else "all is well", "bold red" if failed else "green")
        sys.stdout.flush()
    if failed:
        raise typer.Exit(1)


async def _examine(*, spans: bool) -> Sequence["Finding"]:
    from server.cli import diagnosis_elsewhere as elsewhere  # noqa: PLC0415 - what the other commands do not need
    from server.cli.diagnosis import Check, diagnose  # noqa: PLC0415
    from server.cli.diagnosis_here import checks_here  # noqa: PLC0415
    from server.settings import examine_settings  # noqa: PLC0415
    from server.surroundings import Surroundings  # noqa: PLC0415

    settings, refused = examine_settings(os.environ)
    surroundings = Surroundings(settings)
    checks = [
        *checks_here(settings, refused),
        *elsewhere.checks_of_stores(settings, refused),
        elsewhere.check_of_server(settings, refused),
        *elsewhere.checks_of_dependencies(surroundings, refused, spans=spans),
    ]
    try:
        with Progress(enabled=sys.stderr.isatty()) as progress:

            def beginning(done: int, check: Check) -> None:
                progress.show("looking at", done, len(checks), check.what)

            return await diagnose(checks, beginning)
    finally:
        await surroundings.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """What the parts of a server would log is in the report."""
    import structlog  # noqa: PLC0415 - what the other commands do not need

    before = structlog.get_config()["processors"]
    structlog.configure(processors=[_drop])
    try:
        yield
    finally:
        structlog.configure(processors=before)


def _drop(*_: object) -> str:
    from structlog import DropEvent  # noqa: PLC0415

    raise DropEvent


def _row(finding: "Finding") -> Sequence[str]:
    result = "off" if finding.state == "off" else f"{finding.state}: {finding.result}"
    took = f"{1000 * finding.seconds:.0f} ms" if finding.state in ("ok", "failed") else NOTHING
    return finding.what, finding.where, result, took, finding.cure or NOTHING


def _print_as_json(findings: Sequence["Finding"], failed: int) -> None:
    import msgspec  # noqa: PLC0415

    print_json({"well": failed == 0, "failed": failed, "findings": msgspec.to_builtins(findings)})

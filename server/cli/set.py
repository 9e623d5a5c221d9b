"""``tracing-config set``: write a record whole."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from server.cli.client import DEFAULT_URL, Server, Url, path_of
from server.cli.dry_run import DryRun, Reason, Takeover, end_dry_run
from server.cli.explain import RETIRED, say_answer
from server.cli.failures import Failed, WrongUsage
from server.cli.if_match import IfMatch, headers_of, tag_of
from server.cli.output import AsJson, print_json, rules_text, say, tell

commands = typer.Typer(
    name="set",
    help="Write one record, whole. What is not given is not in it afterwards; --enabled or --disabled alone keep the rest.",
    no_args_is_help=True,
)

SERVED_SOON = "it is durable, and will be served here soon"
"""For a write that took long to be served."""

Probability = Annotated[float | None, typer.Option("--probability", "-p", help="Of a trace to be kept: 0 to 1.")]
RateLimit = Annotated[float | None, typer.Option("--rate-limit", "-r", help="At most so many traces per second and process.")]
LowerBound = Annotated[
    float | None,
    typer.Option("--lower-bound", help="At least so many traces per second of every operation, beside --probability."),
]
Operations = Annotated[
    list[str] | None,
    typer.Option("--operation", "-o", help="'NAME=PROBABILITY', for example 'GET /health=0'; repeat it for more."),
]
Description = Annotated[str | None, typer.Option("--description", help="For readers of the record.")]
Enabled = Annotated[
    bool | None,
    typer.Option("--enabled/--disabled", help="A disabled record counts as absent. Alone: switch it, keep the rest."),
]
File = Annotated[
    Path | None, typer.Option("--file", "-f", help="A YAML or JSON file with the record; - is the standard input.")
]


@commands.command("service", epilog="Example: tracing-config set service checkout -p 0.05 -o 'GET /health=0'")
def set_service(
    name: Annotated[str, typer.Argument(help="The service.")],
    probability: Probability = None,
    rate_limit: RateLimit = None,
    lower_bound: LowerBound = None,
    operations: Operations = None,
    description: Description = None,
    enabled: Enabled = None,
    file: File = None,
    reason: Reason = None,
    takeover: Takeover = False,
    if_match: IfMatch = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Write the record of a service."""
    record = record_of(file, probability, rate_limit, lower_bound, operations)
    record |= {"description": description} if description is not None else {}
    record |= {"enabled": enabled} if enabled is not None else {}
    _put("service", name, record, reason, takeover, if_match, dry_run, as_json, url)


@commands.command("policy", epilog="Example: tracing-config set policy batch --pattern 'batch-*' -r 5")
def set_policy(
    name: Annotated[str, typer.Argument(help="The name of the policy.")],
    pattern: Annotated[
        str | None, typer.Option("--pattern", help="Which services: * any text, ? a character, [abc] one of a set.")
    ] = None,
    priority: Annotated[int | None, typer.Option("--priority", help="The higher one wins.")] = None,
    probability: Probability = None,
    rate_limit: RateLimit = None,
    lower_bound: LowerBound = None,
    operations: Operations = None,
    starts: Annotated[str | None, typer.Option("--starts", help="Not before this instant, like 2026-12-01T00:00:00Z.")] = None,
    ends: Annotated[str | None, typer.Option("--ends", help="Not from this instant on.")] = None,
    description: Description = None,
    enabled: Enabled = None,
    file: File = None,
    reason: Reason = None,
    takeover: Takeover = False,
    if_match: IfMatch = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Write a policy: rules for every service whose name fits a pattern."""
    record = record_of(file, probability, rate_limit, lower_bound, operations)
    given = {
        "servicePattern": pattern,
        "priority": priority,
        "startsAt": starts,
        "endsAt": ends,
        "description": description,
        "enabled": enabled,
    }
    record |= {member: value for member, value in given.items() if value is not None}
    if "servicePattern" not in record and record.keys() != {"enabled"}:
        raise WrongUsage("give --pattern: which services the policy is for; '*' is all")
    _put("policy", name, record, reason, takeover, if_match, dry_run, as_json, url)


@commands.command("default", epilog="Example: tracing-config set default --probability 0.01")
def set_default(
    probability: Probability = None,
    rate_limit: RateLimit = None,
    lower_bound: LowerBound = None,
    operations: Operations = None,
    description: Description = None,
    file: File = None,
    reason: Reason = None,
    takeover: Takeover = False,
    if_match: IfMatch = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Write what a service gets where nothing else speaks for it."""
    record = record_of(file, probability, rate_limit, lower_bound, operations)
    record |= {"description": description} if description is not None else {}
    _put("default", None, record, reason, takeover, if_match, dry_run, as_json, url)


def record_of(
    file: Path | None,
    probability: float | None,
    rate_limit: float | None,
    lower_bound: float | None = None,
    operations: list[str] | None = None,
) -> dict[str, Any]:
    """The record in a file, with the rules that options give. Whether they can be is for the server to say.

    Raises:
        WrongUsage: options that do not go together, or what is no number.
        Failed: the file cannot be read.
    """
    if probability is not None and rate_limit is not None:
        raise WrongUsage("give --probability or --rate-limit, not both")
    record = _read(file) if file is not None else {}
    if probability is not None:
        record["samplingStrategy"] = {"type": "probabilistic", "param": _finite("--probability", probability)}
    elif rate_limit is not None:
        record["samplingStrategy"] = {"type": "ratelimiting", "param": _finite("--rate-limit", rate_limit)}
    if lower_bound is not None:
        strategy = record.get("samplingStrategy")
        if not isinstance(strategy, dict):
            raise WrongUsage("--lower-bound goes with --probability")
        record["samplingStrategy"] = {**strategy, "lowerBoundTracesPerSecond": _finite("--lower-bound", lower_bound)}
    if operations:
        record["operationStrategies"] = [_operation(text) for text in operations]
    return record


def _read(file: Path) -> dict[str, Any]:
    from server.cli.documents import DocumentError, read_record  # noqa: PLC0415 - its parser takes long to start

    try:
        return read_record(file)
    except DocumentError as error:
        raise Failed(str(error)) from None


def _finite(option: str, value: float) -> float:
    if not math.isfinite(value):
        raise WrongUsage(f"{option}: {value} is no number that can be meant")
    return value


def _operation(text: str) -> dict[str, Any]:
    name, equals, probability = text.rpartition("=")
    try:
        return {"operation": name, "param": _finite("--operation", float(probability if equals else ""))}
    except ValueError:
        raise WrongUsage(f"--operation: {text!r} is not like 'GET /health=0', a name and a probability") from None


def _put(
    kind: str,
    name: str | None,
    record: dict[str, Any],
    reason: str | None,
    takeover: bool,
    if_match: str | None,
    dry_run: bool,
    as_json: bool,
    url: str,
) -> None:
    if not record:
        alone = "" if kind == "default" else ", or --enabled or --disabled alone"
        raise WrongUsage(f"give --probability, --rate-limit, --operation or --file{alone}")
    server, path = Server(url), path_of(kind, name)
    tag = tag_of(if_match)
    if record.keys() == {"enabled"}:
        found = server.answer("GET", path)
        record, tag = {**found.json, **record}, tag or found.etag
    params = {"reason": reason, "takeover": takeover or None, "dryRun": dry_run or None}
    answer = server.answer("PUT", path, json=record, params=params, headers=headers_of(tag))
    written = answer.json
    if dry_run:
        end_dry_run(written, as_json=as_json)
    if as_json:
        print_json(written)
        return
    subject = kind if name is None else f"{kind} {name}"
    state = "set" if written.get("enabled", True) else "set and disabled"
    given = rules_text(written["samplingStrategy"], written["operationStrategies"])
    pattern = f" for {written['servicePattern']}" if kind == "policy" else ""
    say(f"{subject} is {state} (revision {written['revision']}): {given}{pattern}")
    if answer.soon:
        tell(SERVED_SOON)
    if written.get("coversFileEntry"):
        say("It stands above what the strategies file says.")
    if kind == "service":
        _say_in_force(server, path)


def _say_in_force(server: Server, path: str) -> None:
    """A boost may stand above what was written, and an SDK may not do what it says."""
    try:
        found = server.ask("GET", f"{path}/explain")
    except Failed as error:
        tell(f"it is written, but what is in force now cannot be told: {error}")
        return
    if found["source"] != "service":
        say_answer(found)
    if clients := dict.fromkeys(one["client"] for one in found["warnings"] if not one["client"].endswith(RETIRED)):
        say(f"Not all of it is honoured by: {', '.join(clients)}. `tracing-config explain` says what.", "yellow")

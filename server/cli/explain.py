"""``tracing-config explain``: what a service gets, and why."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from server.cli.client import DEFAULT_URL, Server, Url, path_of
from server.cli.output import AsJson, moment, number, print_json, say, strategy_text
from server.cli.table import say_table

RETIRED = " (retired)"
"""How the names of clients end that nobody maintains any more."""


def explain(
    service: Annotated[str, typer.Argument(help="Any name; it need not be configured.")],
    operation: Annotated[str | None, typer.Option("--operation", "-o", help="What the spans of this name get.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Tell what a service gets, and why. Shows who lost and for which reason, and what SDKs make of it."""
    found = Server(url).ask("GET", f"{path_of('service', service, polled=True)}/explain", params={"operation": operation})
    if as_json:
        print_json(found)
        return
    say_answer(found)
    say(f"at revision {found['revision']}, {moment(found['at'])}")
    if found["operation"] is not None:
        one = found["operation"]
        say()
        say(f"operation {one['operation']} gets {_given(one)} from {_place(one)}", "bold green")
        _say_candidates(one)
    elif found["operations"]:
        say()
        say_table(
            ("operation", "probability", "from"),
            ([one["operation"], number(one["param"]), _place(one)] for one in found["operations"]),
        )
    say()
    _say_candidates(found)
    if found["warnings"] or found["nextScheduledChange"]:
        say()
    for warning in found["warnings"]:
        if not warning["client"].endswith(RETIRED):
            say(f"warning: {warning['client']}: {warning['message']}", "yellow")
    if old := dict.fromkeys(
        one["client"].removesuffix(RETIRED) for one in found["warnings"] if one["client"].endswith(RETIRED)
    ):
        names = ", ".join(old)
        say(
            f"warning: of clients that are no longer maintained, some do not honour all of it: {names}; --json says what",
            "yellow",
        )
    if found["nextScheduledChange"]:
        say(f"This changes by itself at {moment(found['nextScheduledChange'])}.", "yellow")


def say_answer(found: Mapping[str, Any]) -> None:
    """What is in force for a service, in one line."""
    say(f"{found['service']} gets {strategy_text(found['samplingStrategy'])} from {_place(found)}", "bold green")


def _say_candidates(found: Mapping[str, Any]) -> None:
    candidates, count = found["candidates"], found["candidateCount"]
    say_table(
        ("outcome", "place", "gives", "because"),
        ([one["outcome"], _place(one), _given(one), one["reason"]] for one in candidates),
    )
    if count > len(candidates):
        say(f"... and {count - len(candidates)} more that lose")


def _given(one: Mapping[str, Any]) -> str:
    if "param" not in one:
        return strategy_text(one["samplingStrategy"])
    return "what the rate limit leaves" if one["param"] is None else f"probability {number(one['param'])}"


def _place(one: Mapping[str, Any]) -> str:
    words = {
        "service": "its record",
        "file": "its entry in the strategies file",
        "boost": "a boost",
        "default": "the default",
        "file-default": "the default of the strategies file",
        "fallback": "the last resort",
    }
    source: str = one["source"]
    if source == "policy" and one.get("servicePattern") is not None:
        return f"policy {one['key']} ({one['servicePattern']}, priority {one['priority']})"
    return words.get(source) or f"{source} {one['key']}"

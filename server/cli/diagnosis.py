"""What the doctor does: one check after the other, each within a time limit, none of which can end the others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Literal

import msgspec

SECONDS = 10.0
"""For one check. Most have a shorter limit of their own."""

State = Literal["ok", "failed", "off", "not checked"]


class Trouble(Exception):
    """Is raised by a check that found something wrong. The text is for people, and holds no secret.

    Args:
        cure: what to do about it.
    """

    def __init__(self, problem: str, cure: str) -> None:
        super().__init__(problem)
        self.cure = cure


class Seen(msgspec.Struct, frozen=True):
    """What a check found that is in order."""

    text: str
    advice: str = ""
    """What is better done about it nevertheless."""

    trace_id: str | None = None
    """Of a span that was sent."""


class Check(msgspec.Struct, frozen=True):
    """Something to look at."""

    what: str
    where: str
    """Without secrets."""

    setting: str
    """The variable that it depends on."""

    look: Callable[[], Awaitable[Seen]] | None
    """Raises Trouble. None: it is turned off."""

    refused: bool = False
    """Its setting cannot be used, so nothing can be said of it."""


class Finding(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A row of the report."""

    what: str
    where: str
    state: State
    result: str
    seconds: float
    cure: str
    trace_id: str | None = None


async def diagnose(checks: Sequence[Check], beginning: Callable[[int, Check], object]) -> Sequence[Finding]:
    """Do all checks, in turn. ``beginning`` is told each, with how many were done before it."""
    findings = []
    for done, check in enumerate(checks):
        beginning(done, check)
        findings.append(await _found(check))
    return findings


async def _found(check: Check) -> Finding:
    if check.refused:
        return Finding(check.what, check.where, "not checked", "its setting cannot be used", 0.0, f"correct {check.setting}")
    if check.look is None:
        return Finding(check.what, check.where, "off", "not in use", 0.0, f"{check.setting} turns it on")
    started = perf_counter()
    trace_id = None
    state: State = "failed"
    try:
        async with asyncio.timeout(SECONDS):
            seen = await check.look()
        state, result, cure, trace_id = "ok", seen.text, seen.advice, seen.trace_id
    except Trouble as trouble:
        result, cure = str(trouble), trouble.cure
    except TimeoutError:
        result, cure = f"no answer within {SECONDS:g} s", "see whether what is there hangs"
    except Exception as error:  # noqa: BLE001 - a defect in one check must not hide what the others find
        result, cure = (
            f"the check failed through a defect ({type(error).__name__})",
            "report it to who maintains tracing-config",
        )
    if state == "failed" and check.setting not in cure and "`tracing-config" not in cure:
        cure += f"; the setting is {check.setting}"
    return Finding(check.what, check.where, state, result, round(perf_counter() - started, 4), cure, trace_id)


def trouble_of(message: str, cure: str) -> Trouble:
    """From a message of ours, which has the cure behind a semicolon where one is known; else ``cure``."""
    problem, _, known = message.partition("; ")
    return Trouble(problem, known or cure)

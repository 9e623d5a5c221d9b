"""Compares the copies with what they are copies of."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from server.validation_records import Records, Walk
from server.validation_report import Finding, Listed
from storage.errors import CopyInvalid, RevisionUnknown, StoreError, StoreUnavailable
from storage.history import History
from storage.interface import Copies, Copy, Head
from storage.pacing import paced

BEHIND_SECONDS = 60.0
"""A copy may be behind for so long: replicas look after 30 s at latest, and try again after 5."""


class Outcome(NamedTuple):
    """What was found."""

    problems: list[Finding]
    warnings: list[Finding]
    ahead: bool = False
    """A copy is at a later revision: a commit came in between."""


class Reference(NamedTuple):
    """What the copies are compared with."""

    records: Records
    head: Head
    accepted: Collection[str]
    """The ids of stores whose copies are about to be replaced."""

    history: History | None
    """None where the store cannot be asked."""


async def compare_copies(copies: Mapping[str, Copies], reference: Reference) -> Outcome:
    """All copies beside the records at a head."""
    problems: list[Finding] = []
    warnings: list[Finding] = []
    ahead = False
    for name, place in copies.items():
        try:
            copy = await place.read()
        except CopyInvalid as error:
            message = f"{name}: {error}; it is written anew within a minute, or by POST /api/v1/admin/cache/refresh"
            problems.append(Finding("copy-unreadable", message))
        except StoreUnavailable as error:
            warnings.append(Finding("copy-unavailable", f"{name}: {error}"))
        else:
            found = await _compare(name, copy, reference)
            problems += found.problems
            warnings += found.warnings
            ahead |= found.ahead
    return Outcome(problems, warnings, ahead)


async def _compare(name: str, copy: Copy | None, reference: Reference) -> Outcome:
    head = reference.head.point
    if copy is None:
        return Outcome([], [Finding("copy-missing", f"{name}: there is none; it is written within seconds of a start")])
    if copy.point == head:
        return Outcome(await _differing(name, copy, reference.records), [])
    if copy.point.store_id != head.store_id:
        message = f"{name}: it is of the store {copy.point.store_id}, not of {head.store_id}"
        if copy.point.store_id in reference.accepted:
            return Outcome([], [Finding("copy-behind", f"{message}, which took its place; it is replaced within seconds")])
        return Outcome([Finding("copy-of-another-store", f"{message}; give every store a Redis of its own")], [])
    if copy.point.revision > head.revision:
        return Outcome([], [Finding("copy-ahead", f"{name}: it is at {copy.point}; commits came in between")], ahead=True)
    return await _behind(name, copy, reference)


async def _differing(name: str, copy: Copy, records: Records) -> list[Finding]:
    differs = Listed(
        "copy-differs",
        f"{name}: it has other records than the store at the same point. POST /api/v1/admin/cache/refresh writes it anew",
    )
    walk = Walk(records)
    for key, _, _ in await paced(walk.over(copy.changes)) + await paced(walk.rest()):
        differs.add(key)
    return differs.findings()


async def _behind(name: str, copy: Copy, reference: Reference) -> Outcome:
    """A copy of an earlier revision, or of one that the log does not have: of a history that was lost."""
    head, history = reference.head, reference.history
    message = f"{name}: it is at {copy.point}, the store at {head.point}"
    if history is None:
        return Outcome([], [Finding("copy-behind", message)])
    try:
        if (await history.revision(copy.point.revision)).commit_id != copy.point.commit_id:
            raise RevisionUnknown(copy.point.revision)
        next_one = await history.revision(copy.point.revision + 1)
    except RevisionUnknown:
        return Outcome([Finding("copy-of-lost-history", f"{message}, whose log does not have that commit")], [])
    except StoreError as error:
        return Outcome([], [Finding("copy-behind", f"{message}; since when cannot be said: {error}")])
    seconds = head.clock - next_one.at.timestamp()
    finding = Finding("copy-behind", f"{message}, since {max(0.0, seconds):.0f} s")
    return Outcome([finding], []) if seconds > BEHIND_SECONDS else Outcome([], [finding])

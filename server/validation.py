"""Is everything that should be the same the same? Compares the store, its log, the copies and what is served."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from sampling.catalog import Catalog
from server.follower import Follower
from server.health import CLOCK_OFFSET_SECONDS
from server.served import Served
from server.strategies_file import StrategiesFileWatch
from server.validation_copies import Reference, compare_copies
from server.validation_policies import covered_entries, expired, never_winning
from server.validation_records import Records, compare_log, compare_served, judge_log, read_store
from server.validation_report import SHOWN, Finding, FoundPlace, Report
from storage.errors import RevisionUnknown, StoreError, StoreUnavailable
from storage.history import LoggedStore
from storage.interface import Copies, Head
from storage.pacing import paced

ATTEMPTS = 5
"""How often the store is read again because it and what is served are not at one revision."""

ROUNDS = 3
"""How often all is compared again because a copy is of a later commit."""

REACH_SECONDS = 5.0
"""How long what is served may take to reach the store's head."""


class _Compared(NamedTuple):
    """What the copies are compared with, and what was found until then."""

    records: Records
    head: Head
    problems: list[Finding]
    warnings: list[Finding]
    asked: bool
    """Whether these are the store's; else what is served, because the store could not be asked."""


class Validation:
    """Reads everything and changes nothing. One runs at a time."""

    def __init__(
        self,
        *,
        follower: Follower,
        served: Served,
        store: LoggedStore,
        copies: Mapping[str, Copies],
        strategies_file: StrategiesFileWatch | None,
    ) -> None:
        self._follower, self._served, self._store, self._copies = follower, served, store, copies
        self._strategies_file = strategies_file
        self._turn = asyncio.Lock()

    async def run(self) -> Report:
        """Validate once."""
        async with self._turn:
            if self._served.point is None:
                message = f"nothing is loaded yet: {self._follower.problem}"
                return Report(False, None, None, [Finding("nothing-served", message)], [])
            for _ in range(ROUNDS - 1):
                report, ahead = await self._round()
                if not ahead:
                    return report
            report, _ = await self._round()
            return report

    async def _round(self) -> tuple[Report, bool]:
        """One report, and whether a copy was of a later commit than it is about."""
        compared = await self._followed()
        history = self._store if compared.asked else None
        reference = Reference(compared.records, compared.head, self._served.accepted, history)
        copies = await compare_copies(self._copies, reference)
        problems = compared.problems + copies.problems
        warnings = compared.warnings + copies.warnings + await self._advice(compared.records.catalog)
        point = compared.head.point
        return Report(not problems, point.revision, str(point), problems, warnings), copies.ahead

    async def _followed(self) -> _Compared:
        problems = []
        said = self._follower.problem
        if self._follower.store.foreign is not None:
            problems.append(Finding("another-store", str(said)))
        else:
            if said is not None:
                problems.append(Finding("store-not-followed", said))
            try:
                compared = await self._compare_store()
            except StoreError as error:
                if str(error) != said:
                    problems.append(Finding("store-unavailable", str(error)))
            else:
                return compared._replace(problems=problems + compared.problems)
        catalog, head = await self._served.fork()
        return _Compared(Records(catalog), head, problems, [], asked=False)

    async def _compare_store(self) -> _Compared:
        """Compare what is served, the tables and the log. Raises StoreError."""
        stuck = False
        for attempt in range(1, ATTEMPTS + 1):
            async with self._store.load() as load:
                catalog, served = await self._served.fork()
                if served.point == load.head.point or stuck or attempt == ATTEMPTS:
                    records, problems = await read_store(load, catalog)
                    break
            # The connection of the load is given back first: there are only two.
            stuck = not await self._served.reached(load.head.point, REACH_SECONDS)
        else:
            raise AssertionError("the last attempt reads the store")
        head, warnings = load.head, []
        if served.point == head.point:
            problems += await paced(compare_served(records))
        elif stuck:
            message = f"what is served stays at {served.point}, the store is at {head.point}: see health"
            problems.append(Finding("served-behind", message))
        else:
            message = "what is served was not compared with the store: commits came in between again and again"
            warnings.append(Finding("not-compared", message))
        try:
            async with self._store.state_at(head.point.revision) as log:
                problems += await compare_log(records, log, head)
        except RevisionUnknown:
            problems.append(Finding("log-checksum", f"the log lacks revision {head.point.revision}, the head of the store"))
        try:
            in_log, of_log = judge_log(await self._store.flaws(SHOWN))
        except StoreUnavailable as error:
            in_log, of_log = [], [Finding("log-not-compared", f"the older part of the log was not looked through: {error}")]
        problems += in_log
        warnings += of_log
        return _Compared(records, head, problems, warnings, asked=True)

    async def _advice(self, catalog: Catalog) -> list[Finding]:
        """What is not wrong but does nothing, or not what somebody may think."""
        found = await paced(never_winning(catalog))
        found += await paced(expired(catalog))
        found += self._file(catalog)
        found += await paced(covered_entries(catalog))
        offset = self._follower.store.clock_offset
        if abs(offset) > CLOCK_OFFSET_SECONDS:
            direction = "ahead of" if offset > 0 else "behind"
            message = f"the store's clock is {abs(offset):.1f} s {direction} this replica's: windows open and close by clocks"
            found.append(Finding("clock-offset", message))
        return found

    def _file(self, catalog: Catalog) -> list[Finding]:
        found = []
        watch, file = self._strategies_file, catalog.file
        if watch is not None and watch.problem is not None:
            found.append(Finding("strategies-file-unread", f"the last good state is served: {watch.problem}"))
        if file.warning_count:
            places = [FoundPlace(warning.path, warning.message) for warning in file.warnings[:SHOWN]]
            message = "Jaeger or this server cuts, drops or guesses something in the strategies file"
            found.append(Finding("strategies-file", message, file.warning_count, places=places))
        return found

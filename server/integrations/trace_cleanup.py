"""Removing old traces: what is old goes, with an entry in the audit log that is there before anything is removed."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from time import monotonic, time

import msgspec
import structlog

from server.follower import Follower
from server.integrations.elasticsearch import REMOVE_SECONDS, Elasticsearch, NotRemoved
from server.integrations.http_client import Unusable
from server.integrations.trace_indices import Decision, Listing, Stayed, TraceIndices, older_than
from storage.errors import StoreError
from storage.interface import Terms
from storage.pacing import paced

RUN_SECONDS = 60.0
"""For one cleanup. What is not removed by then stays for the next."""

MOST_AT_ONCE = 1000
"""So many indices are removed by one cleanup; the oldest first."""

SHOWN_STAYED = 1000
"""So many of those that stay are listed."""

MOST_LISTED = 100_000
"""So many names are looked at, in the memory of a server whose polls go on."""

ENTRY_CHARACTERS = 800
"""Of names in an entry of the audit log."""

NAME = "trace cleanup"
"""Under which one replica is alone."""

_log = structlog.get_logger(__name__)


class AlreadyRunning(Exception):
    """Is raised where a cleanup runs already, here or on another replica."""


class Cleanup(msgspec.Struct, frozen=True, rename="camel"):
    """What became of the indices; of a dry run: what would."""

    dry_run: bool
    days: int
    older_than: date
    """Indices of days before this one are old; a day is one in UTC."""

    removed: Sequence[str]
    """Exactly these, the oldest first."""

    stayed: Sequence[Stayed]
    """The first 1000."""

    stayed_count: int
    """All of them."""

    failed: Sequence[Stayed]
    """What is old and could not be removed."""

    revision: int | None
    """Of the entry in the audit log; null where nothing was to be removed."""


class TraceCleanup:
    """Removes old indices of traces, one cleanup at a time among all replicas. ``clock``: seconds since the epoch."""

    def __init__(
        self, elasticsearch: Elasticsearch, names: TraceIndices, follower: Follower, clock: Callable[[], float] = time
    ) -> None:
        self._elasticsearch, self._names, self._follower, self._clock = elasticsearch, names, follower, clock
        self._looking, self._running = asyncio.Lock(), asyncio.Lock()
        self.removed = self.failures = 0
        """Indices that were removed, and cleanups that could not do all they should, since the start."""
        self.succeeded_at: float | None = None
        """When the last cleanup ended without a failure, also with nothing to do; seconds since the epoch."""

    async def look(self, days: int) -> Cleanup:
        """What ``run`` would do now.

        Raises:
            Unusable: the server cannot tell.
        """
        async with self._looking:  # Whoever may read may ask for it.
            today = await self._today()
            old, stayed = await self._decide(today, days, monotonic() + RUN_SECONDS)
        return _told(days, today, stayed, removed=[each.name for each in old], dry_run=True)

    async def run(self, days: int, *, actor: str, reason: str = "") -> Cleanup:
        """Remove what is older than so many days, at least 1.

        Raises:
            AlreadyRunning: nothing was removed.
            Unusable: the server cannot tell what there is; nothing was removed.
            StoreError: the audit log cannot be written; nothing was removed.
        """
        try:
            async with self._follower.store.alone(NAME) as is_alone:
                if not is_alone:
                    raise AlreadyRunning
                async with self._running:
                    cleanup = await self._run(days, actor, reason)
        except (Unusable, StoreError):
            self.failures += 1
            raise
        if cleanup.failed:
            self.failures += 1
        else:
            self.succeeded_at = self._clock()
        return cleanup

    async def close(self) -> None:
        """Wait until a cleanup that was cancelled has told the audit log what stayed: the store is closed next."""
        async with self._running:
            pass

    async def _run(self, days: int, actor: str, reason: str) -> Cleanup:
        until = monotonic() + RUN_SECONDS
        await self._follower.catch_up()  # The store is ours, and its clock has been read just now.
        today = await self._today()
        old, stayed = await self._decide(today, days, until)
        if not old:
            return _told(days, today, stayed)
        names = [each.name for each in old]
        text = f"removes {_indices(len(old))} older than {older_than(today, days)}: {_listed(names)}"
        revision = await self._enter(actor, f"{text}; {reason}" if reason else text)
        removal = _Removal(names)
        try:
            await self._remove(removal, actor, until)
        finally:  # Also where the server is stopped meanwhile.
            if len(removal.removed) < len(names):
                await self._enter_rest(removal, actor, revision)
        stayed = [*stayed, *(Stayed(name, removal.end) for name in removal.rest)]
        return _told(days, today, stayed, removed=removal.removed, failed=removal.failed, revision=revision)

    async def _today(self) -> date:
        """By the earliest of three clocks, ours, the store's and Elasticsearch's: a wrong one makes nothing older than it is.

        Raises Unusable.
        """
        elsewhere, now = await self._elasticsearch.clock(), self._clock()
        earliest = min(elsewhere, now, now + self._follower.store.clock_offset)
        return datetime.fromtimestamp(max(0.0, earliest), UTC).date()

    async def _decide(self, today: date, days: int, until: float) -> Decision:
        try:
            async with asyncio.timeout(until - monotonic()):
                listings = await self._listings()
                decision = await self._decided(listings, today, days, {})
                aliases = sorted({alias for each in decision.old for alias in each.aliases})
                if aliases:
                    writing = {await self._elasticsearch.write_index(alias): alias for alias in aliases}
                    written = {name: alias for name, alias in writing.items() if name is not None}
                    decision = await self._decided(listings, today, days, written)
        except TimeoutError:
            raise Unusable(f"{self._elasticsearch.url} did not tell within {RUN_SECONDS:g} s what there is") from None
        too_many = f"more than {MOST_AT_ONCE} are old; the next cleanup removes it"
        rest = [Stayed(each.name, too_many) for each in decision.old[MOST_AT_ONCE:]]
        return Decision(decision.old[:MOST_AT_ONCE], [*rest, *decision.stayed])

    async def _listings(self) -> Sequence[Listing]:
        listings: list[Listing] = []
        count = 0
        for pattern in self._names.patterns:
            listings.append(await self._elasticsearch.listing(pattern))
            count += sum(map(len, listings[-1]))
            if count > MOST_LISTED:
                raise Unusable(f"{self._elasticsearch.url} lists more than {MOST_LISTED} names of traces")
        return listings

    async def _decided(self, listings: Sequence[Listing], today: date, days: int, written: Mapping[str, str]) -> Decision:
        return await paced(self._names.decide(listings, today, days, written))

    async def _remove(self, removal: "_Removal", actor: str, until: float) -> None:
        while removal.rest:
            left = until - monotonic()
            if left <= 0:
                removal.end = f"the {RUN_SECONDS:g} s of a cleanup were over; the next one removes it"
                return
            name = removal.rest.pop(0)
            try:
                await self._elasticsearch.remove(name, min(REMOVE_SECONDS, max(1.0, left)))
            except NotRemoved as error:  # It alone: a snapshot may be made of it now.
                removal.failed.append(Stayed(name, str(error)))
            except Unusable as error:  # The next one would fare the same.
                removal.failed.append(Stayed(name, str(error)))
                removal.end = "not tried after that failure"
                return
            except BaseException:
                removal.failed.append(Stayed(name, "it is not known whether it was removed"))
                raise
            else:
                removal.removed.append(name)
                self.removed += 1
                _log.info("a trace index was removed", index=name, actor=actor)

    async def _enter(self, actor: str, reason: str) -> int:
        """An entry in the audit log; its revision."""
        committed, _ = await self._follower.commit([], Terms(actor=actor, reason=reason, entry=True))
        return committed.head.point.revision

    async def _enter_rest(self, removal: "_Removal", actor: str, revision: int) -> None:
        names = [*(each.index for each in removal.failed), *removal.rest]
        why = removal.failed[0].reason if removal.failed else removal.end
        text = f"{len(names)} of the {_indices(removal.count)} of revision {revision} stayed: {_listed(names)}; {why}"
        log = _log.warning if removal.failed else _log.info
        log("not all old trace indices were removed", stayed=len(names), removed=len(removal.removed), reason=why)
        try:
            await self._enter(actor, text)
        except StoreError as error:
            _log.error("the audit log could not be told what stayed", reason=str(error), entry=text)


class _Removal:
    """How far a cleanup has come."""

    def __init__(self, names: Sequence[str]) -> None:
        self.count = len(names)
        self.rest = [*names]
        self.removed: list[str] = []
        self.failed: list[Stayed] = []
        self.end = "the server was stopped"
        """Why the rest stays."""


def _told(
    days: int,
    today: date,
    stayed: Sequence[Stayed],
    *,
    removed: Sequence[str] = (),
    failed: Sequence[Stayed] = (),
    revision: int | None = None,
    dry_run: bool = False,
) -> Cleanup:
    shown = stayed[:SHOWN_STAYED]
    return Cleanup(dry_run, days, older_than(today, days), removed, shown, len(stayed), failed, revision)


def _indices(count: int) -> str:
    return f"{count} trace {'index' if count == 1 else 'indices'}"


def _listed(names: Sequence[str]) -> str:
    """As many names as an entry has room for, at least one."""
    shown: list[str] = []
    size = 0
    for name in names:
        size += len(name) + 2
        if shown and size > ENTRY_CHARACTERS:
            break
        shown.append(name)
    more = f" and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
    return ", ".join(shown) + more

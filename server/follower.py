"""Follows the store's log, and keeps what is served at its head."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import suppress
from time import monotonic, time

import structlog

from sampling.records import KINDS, Change, Kind
from server.followed_store import LAGGING, FollowedStore
from server.following_outcome import FollowingOutcome
from server.served import Served
from server.telemetry.traces import Traces
from storage.errors import ContentMismatch, StoreError, StoreUnavailable, StoreUnusable, WrongVersion
from storage.interface import Committed, Head, Point, Store, Terms, Write
from storage.pacing import paced

TICK_SECONDS = 0.5
"""How often the head is asked for, give or take a fifth; NOTIFY only makes it sooner."""

PATIENCE_SECONDS = 3.0
"""How long a base from a copy waits for the store before it is answered from."""

SERVED_SECONDS = 5.0
"""How long a write waits until this replica serves it."""

MISMATCH_SECONDS = 30.0
"""How long a content that misses its checksum is taken for a restore in progress."""

REFRESH_ATTEMPTS = 10
"""How often a refresh begins again because a commit was served since it began."""

_log = structlog.get_logger(__name__)


class Follower:
    """The one that moves what is served: by the log of the store, forward within one history.

    ``lost`` is awaited with the abandoned point when the store went back to before it (a restored backup, a failover that
    lost commits) or another was accepted in its place, before everything is loaded anew.
    """

    def __init__(
        self,
        store: Store,
        served: Served,
        *,
        lost: Callable[[Point], Awaitable[object]],
        tick: float = TICK_SECONDS,
        traces: Traces | None = None,
    ) -> None:
        self.store = FollowedStore(store, served)
        self._served = served
        self._lost = lost
        self._tick = tick
        self._traces = traces or Traces()
        self._turn = asyncio.Lock()
        """Held by whoever asks the store and moves what is served: the following, a refresh, an acceptance."""
        self._wake = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._outcome = FollowingOutcome()
        self.gave_up = asyncio.Event()
        """Nothing is served, and the store is of a version that this program will never get anything from."""
        self._abandoned: Point | None = None
        self.histories_lost = 0
        self.writes: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        """Records that were committed here, deletions too."""

    @property
    def problem(self) -> str | None:
        """Why the store cannot be followed right now; None while it is."""
        return self._outcome.problem

    @property
    def staleness(self) -> float:
        """Seconds since the served point was last seen to be the head."""
        return monotonic() - self._outcome.confirmed

    @property
    def mismatches(self) -> int:
        """Loads and changes that missed their checksum."""
        return self._outcome.mismatches

    @property
    def reconnects(self) -> int:
        """Times that the store was followed again after it could not be."""
        return self._outcome.reconnects

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._watch_windows())
            tasks.create_task(self._publish())

    async def commit(self, writes: Sequence[Write], terms: Terms) -> tuple[Committed, bool]:
        """Commit a batch and wait until it is served here; the flag says whether it is.

        Raises:
            StoreError: as ``Store.commit``; ``StoreUnavailable`` also where the store is not the one that is followed.
        """
        self._check_is_followed()
        with self._traces.commit(self.store.name) as came_to:
            committed = await self.store.commit(writes, terms)
            came_to(committed.head.point, len(committed.changes))
        deadline = monotonic() + SERVED_SECONDS
        head, at = committed.head, self._served.point
        if at is not None and head.point.store_id == at.store_id and head.point.revision == at.revision + 1:
            # A mismatch says that the served history is not the store's: following finds that out.
            with suppress(ContentMismatch, TimeoutError):
                async with asyncio.timeout(SERVED_SECONDS):
                    await self._served.take(head, committed.changes)
        self._wake.set()
        await paced(self._count(committed.changes))
        return committed, await self._served.reached(head.point, deadline - monotonic())

    async def catch_up(self) -> None:
        """Serve what is the store's head now, so also what another replica has committed before.

        Raises:
            StoreError: the store does not answer, is not the one that is followed, or its head is not served in time.
        """
        self._check_is_followed()
        head = await self.store.head()
        self._wake.set()
        if not await self._served.reached(head.point, SERVED_SECONDS):
            raise StoreUnavailable(f"this replica does not serve {head.point} yet, the store's head; try again")

    async def refresh(self) -> None:
        """Load everything anew from the store and serve it, also where the served point is its head already.

        Raises:
            StoreError: it cannot be followed or loaded now; what is served has not changed.
        """
        async with self._turn:
            if not self.store.is_open:
                raise StoreUnavailable(self.problem or "the store is not open yet")
            for _ in range(REFRESH_ATTEMPTS):
                await self._catch_up()
                if await self._load(self._served.point):
                    return
        raise StoreUnavailable("commits came in between again and again; try again")

    async def accept(self, store_id: str | None) -> None:
        """Follow another store that took the place of the followed one; all replicas that served that one do so too.

        ``store_id`` is the other store's; None stands for an empty database, which is filled.

        Raises:
            NothingToAccept: the store is the one that is followed.
            AnotherStore: what is there is something else.
            StoreError: it cannot be asked, told or loaded now. It may be that it was told: then it is followed soon.
        """
        async with self._turn:
            await self.store.accept(store_id)
            await self._catch_up()
            self._succeeded()

    def _count(self, changes: Sequence[Change]) -> Generator[None, None, None]:
        for index, change in enumerate(changes):
            self.writes[change.key.kind] += 1
            if index % 1000 == 0:
                yield

    def _check_is_followed(self) -> None:
        if self.store.foreign is not None or not self.store.is_open:
            raise StoreUnavailable(self.problem or "the store is not open yet")

    async def _follow(self) -> None:
        while True:
            self._wake.clear()
            try:
                async with self._turn:
                    await self._catch_up()
                    self._succeeded()
                await self._pause()
            except Exception as error:  # noqa: BLE001 - polls must outlive a defect of the follower
                if not isinstance(error, StoreError):
                    _log.exception("a defect kept the follower from following; answers go on")
                if isinstance(error, StoreUnusable):
                    # A backup of an older schema may have been restored: opening it again brings that up to date.
                    self.store.open_again()
                self._outcome.failed(error, self.store, is_served=self._served.published)
                if isinstance(error, WrongVersion) and self._served.point is None:
                    self.gave_up.set()
                await asyncio.sleep(self._outcome.pause())

    async def _pause(self) -> None:
        """Until the store hints at news, a commit of ours wants to be served, or the tick."""
        news = asyncio.ensure_future(self.store.wait_for_news(self._tick * random.uniform(0.8, 1.2)))
        wake = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait((news, wake), return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
            wake.cancel()
            results = await asyncio.gather(news, wake, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _catch_up(self) -> None:
        at = self._served.point
        head = await self.store.head()
        if at is None:
            await self._load(at)
        elif head.point.store_id != at.store_id:
            await self._change_over(head, at)
        elif head.commit_at_served == at.commit_id:
            await self._move_forward(head, at)
        elif head.in_recovery:
            raise StoreUnavailable(LAGGING)
        else:
            await self._go_back(head, at)

    async def _move_forward(self, head: Head, at: Point) -> None:
        if self._outcome.mismatch_since is not None:
            await self._load(at)
        elif head.point == at:
            self._served.checked_at = head.clock
        else:
            with self._traces.apply(at) as came_to:
                news = await self.store.changes_since(at.revision)
                await self._served.take(news.head, news.changes)
                came_to(news.head.point, len(news.changes))

    async def _load(self, at: Point | None) -> bool:
        """Everything anew; False where ``at`` is not what is served any more, so nothing was taken.

        A content that misses its checksum for too long is served where there is nothing else.
        """
        since = self._outcome.mismatch_since
        trust = at is None and since is not None and monotonic() - since > MISMATCH_SECONDS
        with self._traces.apply(at) as came_to:
            async with self.store.load(at) as load:
                taken = await self._served.replace(load.head, load, instead_of=at, trust=trust)
            if taken:
                came_to(load.head.point, sum(len(self._served.catalog.records(kind)) for kind in KINDS))
        if trust:
            self._caught_up.set()
            raise ContentMismatch("the store's content misses its checksum; it is served because there is nothing else")
        return taken

    async def _change_over(self, head: Head, at: Point) -> None:
        await self._lost(at)
        if await self._load(at):
            _log.warning(
                "another store was accepted in place of the followed one: everything was loaded anew from it",
                served=str(at),
                served_store=at.store_id,
                head=str(self._served.point),
                store=head.point.store_id,
            )

    async def _go_back(self, head: Head, at: Point) -> None:
        if at != self._abandoned:  # The load may fail, and be tried again.
            self._abandoned = at
            self.histories_lost += 1
            _log.error(
                "the store went back: commits that were served are gone, everything is loaded anew",
                served=str(at),
                head=str(head.point),
                store=at.store_id,
            )
        await self._lost(at)
        await self._load(at)

    def _succeeded(self) -> None:
        self._outcome.succeeded(self.store, self._served.point, again=self._caught_up.is_set())
        self._caught_up.set()

    async def _watch_windows(self) -> None:
        """Wall clock against the next start or end of a window; there are no longer timers."""
        while True:
            await asyncio.sleep(min(self._tick, TICK_SECONDS))
            self._served.advance(time())

    async def _publish(self) -> None:
        """Ready is: caught up, or a base is loaded and the store has not answered for a while."""
        try:
            async with asyncio.timeout(None if self._served.point is None else PATIENCE_SECONDS):
                await self._caught_up.wait()
        except TimeoutError:
            _log.warning("the store does not answer: serving from a copy", at=str(self._served.point))
        self._served.publish()

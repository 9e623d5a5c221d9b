"""Asks the store for its figures now and then, and keeps the last ones that it told."""

import asyncio
import math
from time import monotonic

import structlog

from server.follower import Follower
from storage.errors import SchemaOutdated, StoreError
from storage.figures import Figures, Measured

SECONDS = 60.0
"""Between two questions."""

LOOK_SECONDS = 0.5
"""So soon after the store is followed it is asked for the first time."""

_log = structlog.get_logger(__name__)


class StoreFigures:
    """A store that is not followed, or does not tell, leaves the last figures as they are."""

    def __init__(self, store: Measured, follower: Follower, seconds: float = SECONDS) -> None:
        self._store, self._follower, self._seconds = store, follower, seconds
        self.current: Figures | None = None
        """None until the store has told them for the first time."""
        self._failures = 0

    async def run(self) -> None:
        """Ask again and again, for ever."""
        asked = -math.inf
        while True:
            if self._follower.problem is None and monotonic() - asked >= self._seconds:
                asked = monotonic()
                await self._ask()
            await asyncio.sleep(min(LOOK_SECONDS, self._seconds))

    async def _ask(self) -> None:
        try:
            self.current = await self._store.figures()
        except StoreError as error:
            if isinstance(error, SchemaOutdated):
                self._follower.store.open_again()
            self._failures += 1
            if self._failures == 2:  # One may be of a store that is going away, which the follower tells.
                _log.warning("the store does not tell its figures; the last ones stay", reason=str(error))
            return
        if self._failures > 1:
            _log.info("the store tells its figures again")
        self._failures = 0

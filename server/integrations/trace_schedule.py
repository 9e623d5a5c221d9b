"""Old traces are removed once an hour. Every replica tries, so it happens as long as one is there."""

import asyncio
import random

import structlog

from server.integrations.http_client import Unusable
from server.integrations.trace_cleanup import AlreadyRunning, TraceCleanup
from server.sidecar.identity import SCHEDULE
from storage.errors import StoreError

HOUR = 3600.0

MOST_HOURS = 24

_log = structlog.get_logger(__name__)


class TraceSchedule:
    """Cleans up in the background."""

    def __init__(self, cleanup: TraceCleanup, days: int, *, seconds: float = HOUR) -> None:
        """``seconds``: between two cleanups, ± 20 %; the first comes after a tenth of that at most.

        After one that could not remove something it is twice as long each time, up to 24 times: each has left two entries.
        """
        self._cleanup, self._days, self._seconds = cleanup, days, seconds
        self._pause = 1
        """In units of ``seconds``."""
        self._failed = False

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.sleep(self._seconds * random.uniform(0.05, 0.1))
        while True:
            pause = await self.attempt()
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))

    async def attempt(self) -> float:
        """Clean up, unless another replica does; the seconds until the next attempt."""
        try:
            done = await self._cleanup.run(self._days, actor=SCHEDULE)
        except AlreadyRunning:
            _log.debug("another replica removes old traces")
        except (Unusable, StoreError) as error:
            tell = _log.debug if self._failed else _log.warning
            tell("old traces could not be removed; it is tried again every hour", reason=str(error))
            self._failed = True
        else:
            self._pause = min(MOST_HOURS, 2 * self._pause) if done.failed else 1
            if self._failed:
                _log.info("old traces can be removed again")
            self._failed = False
        return self._pause * self._seconds

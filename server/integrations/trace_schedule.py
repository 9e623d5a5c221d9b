"""Old traces are removed once an hour. Every replica tries, so it happens as long as one is there."""

import asyncio
import random

import structlog

from server.integrations.http_client import Unusable
from server.integrations.trace_cleanup import AlreadyRunning, TraceCleanup
from server.sidecar.identity import SCHEDULE
from storage.errors import StoreError

HOUR = 3600.0

_log = structlog.get_logger()


class TraceSchedule:
    """Cleans up in the background."""

    def __init__(self, cleanup: TraceCleanup, days: int, *, seconds: float = HOUR) -> None:
        """``seconds``: between two cleanups, ± 20 %; the first comes after a tenth of that at most."""
        self._cleanup, self._days, self._seconds = cleanup, days, seconds

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.sleep(self._seconds * random.uniform(0.05, 0.1))
        while True:
            try:
                await self._cleanup.run(self._days, actor=SCHEDULE)
            except AlreadyRunning:
                _log.debug("another replica removes old traces")
            except (Unusable, StoreError) as error:
                _log.warning("old traces could not be removed; it is tried again in an hour", reason=str(error))
            await asyncio.sleep(self._seconds * random.uniform(0.8, 1.2))

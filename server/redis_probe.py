"""Whether Redis answers: asked in the background, for health and metrics."""

import asyncio
from typing import Protocol

import structlog

from storage.errors import StoreError

PROBE_SECONDS = 2.0
"""Between two questions. With the time limit of one (``storage.hot_copy.QUESTION_SECONDS``) a Redis that went away, or hangs,
is told within three seconds."""

_log = structlog.get_logger(__name__)


class Versioned(Protocol):
    """What tells its version, or that it does not answer."""

    async def version(self) -> str:
        """Raises StoreError, within a time limit of its own."""
        ...


class RedisProbe:
    """What the last question found. A change of state is logged, once."""

    def __init__(self, redis: Versioned) -> None:
        self._redis = redis
        self.version: str | None = None
        """None while it does not answer."""
        self.problem: str | None = "Redis has not answered yet"
        self._told_up: bool | None = None

    @property
    def up(self) -> bool:
        return self.problem is None

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(PROBE_SECONDS)

    async def ask(self) -> None:
        """Ask once."""
        try:
            self.version, self.problem = await self._redis.version(), None
        except StoreError as error:
            self.version, self.problem = None, str(error)
        if self.up == self._told_up:
            return
        self._told_up = self.up
        if self.up:
            _log.info("Redis answers", version=self.version)
        else:
            _log.warning("Redis does not answer; polls are not affected", reason=self.problem)

"""Whether Redis answers: asked in the background, for health and metrics."""

import asyncio
from typing import Protocol

import structlog

from storage.errors import StoreError

PROBE_SECONDS = 1.5
"""Between two questions."""

DOUBT_SECONDS = 0.5
"""Between a question that failed and the one that confirms it: a moment without an answer is no outage. With the time limits of
both (``storage.hot_copy.QUESTION_SECONDS``) a Redis that went away, or hangs, is told within four seconds."""

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
        """Ask once, and once more where it answered before and does not now."""
        version, problem = await self._answer()
        if self.up and problem is not None:
            await asyncio.sleep(DOUBT_SECONDS)
            version, problem = await self._answer()
        self.version, self.problem = version, problem
        if self.up == self._told_up:
            return
        self._told_up = self.up
        if self.up:
            _log.info("Redis answers", version=self.version)
        else:
            _log.warning("Redis does not answer; polls are not affected", reason=self.problem)

    async def _answer(self) -> tuple[str | None, str | None]:
        """Its version, or why it does not tell it."""
        try:
            return await self._redis.version(), None
        except StoreError as error:
            return None, str(error)

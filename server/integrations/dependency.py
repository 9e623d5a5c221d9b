"""Another server that this one works with: asked again and again, in the background. No poll and no start waits for it."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from types import MappingProxyType
from typing import Any

import structlog

from server.integrations.http_client import Unusable

CHECK_SECONDS = 10.0
"""Between two checks, ± 20 %: replicas that started together do not ask together."""

Check = Callable[[], Awaitable[Mapping[str, Any]]]
"""Asks the server within a time limit of its own. What it returns is shown in health until the next. Raises Unusable."""

NOTHING: Mapping[str, Any] = MappingProxyType({})

_log = structlog.get_logger(__name__)


class Dependency:
    """Whether it can be used, for health and metrics. It never makes the total DOWN."""

    def __init__(
        self,
        name: str,
        setting: str,
        url: str,
        check: Check,
        *,
        seconds: float = CHECK_SECONDS,
        always: Mapping[str, Any] = NOTHING,
    ) -> None:
        """
        Args:
            name: of its component in health, and its label in metrics: ``jaeger``.
            setting: the variable that names its address.
            url: where it is, without secrets.
            check: what is asked.
            seconds: between two checks.
            always: what health shows of it also while it is away.
        """
        self.name, self.setting, self.url = name, setting, url
        self._check, self._seconds, self._always = check, seconds, always
        self.problem: str | None = "it has not been asked yet"
        self.cure = ""
        """What to do about the problem."""
        self.failures = 0
        """How many checks have failed since the start."""
        self.latency: float | None = None
        """Seconds that the last successful check took."""
        self._details: Mapping[str, Any] = NOTHING
        self._told: bool | None = None

    @property
    def up(self) -> bool:
        return self.problem is None

    def report(self) -> dict[str, Any]:
        """The component of health."""
        details: dict[str, Any] = {"url": self.url, **self._always, **self._details}
        if self.latency is not None:
            details["latencyMilliseconds"] = round(1000 * self.latency, 1)
        if self.problem is not None:
            details["problem"] = self.problem
        return {"status": "UP" if self.up else "DOWN", "details": details}

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._seconds * random.uniform(0.8, 1.2))

    async def look(self) -> None:
        """Check once. A change of state is logged, once."""
        started = perf_counter()
        try:
            self._details = await self._check()
        except Unusable as error:
            self.problem, self.cure = str(error), error.cure or f"see whether it is up, and {self.setting} right"
            self.failures += 1
            self._details = NOTHING  # What it said of itself may not be so any more.
        else:
            self.latency = perf_counter() - started
            self.problem, self.cure = None, ""
        if self.up != self._told:
            self._told = self.up
            if self.up:
                _log.info("a dependency answers", dependency=self.name, url=self.url)
            else:
                reason = {"reason": self.problem, "cure": self.cure}
                _log.warning("a dependency cannot be used; polls are not affected", dependency=self.name, **reason)

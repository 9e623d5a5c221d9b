"""This replica in a service registry: there while it is ready, and out of it when it stops."""

import asyncio
import random
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

import structlog

from server.integrations.dependency import Dependency
from server.integrations.http_client import Unusable
from server.integrations.registry import BEAT_SECONDS, Instance, Registry
from server.settings import PREFIX

LEAVE_SECONDS = 2.0
"""What a stop waits for the registry at most."""

READY_SECONDS = 0.2
"""After these at the latest it is noticed that the replica is ready, or is not any more."""

_log = structlog.get_logger(__name__)


class Registration:
    """Until ``announce`` it only looks, so that another process can have one too.

    Who finds the registry away tries again after 1, 2, 4, 8 and then always 10 s.
    """

    def __init__(self, registry: Registry, instance: Instance) -> None:
        """``instance`` as the settings have it."""
        self._registry, self._instance = registry, instance
        self._is_ready: Callable[[], bool] | None = None
        self._told = False
        """Whether the registry was told of this instance, and has not denied it since."""
        self._may_be_there = False
        """An attempt without an answer may have succeeded, and one before us of the same id may have ended badly."""
        self._new = False
        """Registered, and not logged yet: that waits for the registry's own word."""
        self._left = False
        self._changing = asyncio.Lock()
        self.registered = False
        """As the registry said when it was last asked; False while it does not answer."""
        setting = f"{PREFIX}REGISTRY_URL"
        self.dependency = Dependency("registry", setting, registry.url, self._check, always={"kind": registry.kind})

    def announce(self, instance: Instance, ready: Callable[[], bool]) -> None:
        """From now on keep this instance, with its real ports, registered while it is ready."""
        self._instance, self._is_ready = instance, ready

    async def run(self) -> None:
        """Look, register and send heartbeats until cancelled."""
        failures = 0
        while True:
            ready = self._ready()
            await self.dependency.look()
            failures = 0 if self.dependency.up else min(failures + 1, 5)
            seconds = min(2 ** (failures - 1), BEAT_SECONDS) if failures else BEAT_SECONDS
            await self._pause(seconds * random.uniform(0.8, 1.2), ready)

    async def leave(self) -> None:
        """Deregister for good, within LEAVE_SECONDS; what is left there then runs out by itself."""
        self._left = True
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._update()
        except (Unusable, TimeoutError) as error:
            reason = str(error) or f"{self._registry.url} did not answer within {LEAVE_SECONDS:g} s"
            _log.warning("the registry could not be told of the stop; it drops who sends no heartbeats", reason=reason)

    def _ready(self) -> bool:
        return self._is_ready is not None and self._is_ready() and not self._left

    async def _pause(self, seconds: float, ready: bool) -> None:
        """Sleep, but no longer than it is so with being ready."""
        end = monotonic() + seconds
        while (left := end - monotonic()) > 0 and self._ready() == ready:  # noqa: ASYNC110 - readiness tells nobody when it changes
            await asyncio.sleep(min(left, READY_SECONDS))

    async def _check(self) -> Mapping[str, Any]:
        try:
            await self._update()
            self.registered = await self._registry.look(self._instance.id)
        except Unusable:
            self.registered = False
            raise
        self._told = self._told and self.registered
        self._may_be_there = self._may_be_there or self.registered
        if self.registered and self._new:
            self._new = False
            _log.info("this replica is registered", registry=self._registry.url, instance=self._instance.id)
        return {"instance": self._instance.id, "registered": self.registered}

    async def _update(self) -> None:
        """Bring the registry to where it should be. One at a time: no registration may arrive behind its removal."""
        async with self._changing:
            if self._ready():
                await self._keep()
            elif self._may_be_there and self._is_ready is not None:
                was_there = await self._registry.deregister(self._instance.id)
                self._told = self._may_be_there = False
                if was_there:
                    _log.info("this replica is deregistered", registry=self._registry.url, instance=self._instance.id)

    async def _keep(self) -> None:
        if self._told and await self._registry.beat(self._instance.id):
            return
        self._told, self._may_be_there = False, True
        await self._registry.register(self._instance)
        self._told = self._new = True

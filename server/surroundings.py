"""What the settings name beside the stores: the other servers of the platform, each optional. No poll touches them."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from server.integrations.dependency import Dependency
from server.settings import Settings


class Running(Protocol):
    """What works in the background, for ever."""

    async def run(self) -> None: ...


class Surroundings:
    """Opens nothing before its tasks run. Without settings there is nothing in it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.dependencies: list[Dependency] = []
        """In the order in which health shows them."""
        self.running: list[Running] = []
        """To be run in the background until they are cancelled."""
        self._closing: list[Callable[[], Awaitable[None]]] = []

    async def close(self) -> None:
        """End what is open, the last first."""
        while self._closing:
            await self._closing.pop()()

    def _watch(self, dependency: Dependency) -> None:
        self.dependencies.append(dependency)
        self.running.append(dependency)

"""An address with a password in it that is kept in a file, and used as the file says now."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic

import structlog

from server.setting_values import read_secret_file
from server.watched_file import WatchedFile
from storage.errors import StoreError

LOOK_SECONDS = 1.0
"""How often the file is looked at."""

RETRY_SECONDS = 5.0
"""Between two attempts to use an address that does not work: it may have been written before the server knew it."""

_log = structlog.get_logger(__name__)


class AddressFile:
    """Hands each new address on. One that cannot be used changes nothing, and is tried again."""

    def __init__(
        self, variable: str, path: Path, current: str, parse: Callable[[str], str], use: Callable[[str], Awaitable[None]]
    ) -> None:
        """``current`` is what is used already. ``parse`` raises ValueError, ``use`` that and StoreError, without any secret."""
        self._variable, self._use = variable, use
        self.current = self._wanted = current
        """What is in use, with its secrets."""
        self._file = WatchedFile(variable, path, lambda path: parse(read_secret_file(path)), self._want)
        self._refused: str | None = None
        self._next_attempt = 0.0

    @property
    def problem(self) -> str | None:
        """Why the file's address is not the one in use; None where it is."""
        reason = self._file.problem or self._refused
        return reason and f"{self._variable}: {reason}; the last address that worked stays in use"

    async def run(self) -> None:
        """Look until cancelled."""
        with suppress(ValueError):  # It was good when the settings were read; looking at it again tells what is wrong now.
            await asyncio.to_thread(self._file.load)
        while True:
            await asyncio.to_thread(self._file.reload)
            if self._wanted == self.current:
                self._refused = None
            elif monotonic() >= self._next_attempt:
                await self._try(self._wanted)
            await asyncio.sleep(LOOK_SECONDS)

    def _want(self, address: str) -> None:
        self._wanted, self._refused, self._next_attempt = address, None, 0.0

    async def _try(self, address: str) -> None:
        try:
            await self._use(address)
        except (ValueError, StoreError) as error:
            self._next_attempt = monotonic() + RETRY_SECONDS
            if str(error) != self._refused:
                self._refused = str(error)
                _log.error("a new address does not work; the last one stays in use", setting=self._variable, reason=str(error))
            return
        self.current, self._refused = address, None
        _log.info("a new address is in use", setting=self._variable)

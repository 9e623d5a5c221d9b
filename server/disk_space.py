"""How much room is left for the data folder. Asked in the background: a file system that hangs holds up nobody."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import structlog

from server.daemon_call import daemon_call

LOOK_SECONDS = 2.0
"""Between two looks."""

ANSWER_SECONDS = 2.0
"""A file system that takes longer hangs, as one of a network does whose server went away."""

_log = structlog.get_logger(__name__)


class Room(NamedTuple):
    """Of a file system, in bytes."""

    total: int
    free: int
    """What this user may still take."""


def room_of(folder: Path) -> Room:
    """How much there is. It blocks. Raises OSError."""
    status = os.statvfs(folder)
    return Room(status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize)


class DiskSpace:
    """What the last look at a folder found, for health and metrics."""

    def __init__(self, folder: Path, threshold: int, ask: Callable[[Path], Room] = room_of) -> None:
        """``threshold`` in bytes: with less the disk is down. ``ask`` may block for as long as it likes, and raises OSError."""
        self.threshold = threshold
        self.room: Room | None = None
        """None while nobody knows."""
        self.exists = False
        """Whether the folder was there when it was last asked for."""
        self.problem: str | None = "it has not been looked at yet"
        self._folder, self._ask = folder, ask
        self._told_up = True

    @property
    def up(self) -> bool:
        return self.problem is None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once. An answer that is late is told, and waited for: no second thread comes to hang beside the first."""
        asking = asyncio.create_task(daemon_call(self._ask, self._folder))
        try:
            await asyncio.wait((asking,), timeout=ANSWER_SECONDS)
            if not asking.done():
                self._found(None, f"its file system does not answer within {ANSWER_SECONDS:g} s")
            room = await asking
        except OSError as error:
            self.exists = not isinstance(error, FileNotFoundError)
            self._found(None, error.strerror or str(error))
        else:
            self.exists = True
            self._found(room, None if room.free >= self.threshold else f"less than {self.threshold} bytes are free")
        finally:
            asking.cancel()

    def _found(self, room: Room | None, problem: str | None) -> None:
        self.room, self.problem = room, problem
        if self.up == self._told_up:
            return
        self._told_up = self.up
        told = {"folder": str(self._folder), **({} if room is None else room._asdict()), "threshold": self.threshold}
        if problem is None:
            _log.info("the disk of the data folder is well again", **told)
        else:
            _log.error("the disk of the data folder is not well; polls are not affected", reason=problem, **told)

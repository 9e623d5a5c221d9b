"""What a client is told while its import goes on, and noticing that it has gone away."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Literal, TypeVar

import msgspec
from aiohttp import web

from server.sidecar.errors import Problem
from storage.pacing import paced

PROGRESS_SECONDS = 0.2
"""Between two lines, and until it is noticed that a client has gone away."""

LINES = "application/x-ndjson"

_STALLED_SECONDS = 10.0
"""How long a client may take to read a line."""

Result = TypeVar("Result")

_encode = msgspec.json.Encoder().encode


class ClientGone(Problem):
    """Is raised when nobody waits for the answer any more; nothing was changed."""

    def __init__(self) -> None:
        super().__init__(400, "client-gone", "the client went away before the import was committed; nothing was changed")


class Stage(msgspec.Struct, frozen=True):
    """A line: how far an import is."""

    stage: Literal["reading", "committing"]
    done: int
    total: int
    """0: not known yet; no line is sent."""


class Progress:
    """Of one import. Lines go only to a client that asked for them, from ``begin`` on."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response: web.StreamResponse | None = None
        """Takes the lines; None: nobody wants any."""

    async def begin(self) -> None:
        """Answer 200, and lines from now on, if they are wanted."""
        if LINES in self._request.headers.get("Accept", ""):
            self.response = web.StreamResponse(headers={"Content-Type": LINES})
            await _in_time(self.response.prepare(self._request))

    async def say(self, line: object) -> None:
        """Send a line.

        Raises:
            ClientGone: also where the client does not read it.
        """
        if self._request.transport is None or self._request.transport.is_closing():
            raise ClientGone
        if self.response is not None and not (isinstance(line, Stage) and line.total == 0):
            await _in_time(self.response.write(_encode(line) + b"\n"))

    async def through(self, work: Generator[None, None, Result], stage: Callable[[], Stage]) -> Result:
        """Run paced work to its end, telling again and again how far it is.

        Raises:
            ClientGone: the client went away; the work was stopped.
        """
        running = asyncio.ensure_future(paced(work))
        try:
            while not running.done():
                await asyncio.wait((running,), timeout=PROGRESS_SECONDS)
                await self.say(stage())
            return running.result()
        finally:
            running.cancel()
            await asyncio.wait((running,))

    async def end(self, line: object) -> None:
        """Send the last line; who has gone away misses it."""
        if self.response is not None:
            await self.say(line)
            await _in_time(self.response.write_eof())


async def _in_time(sending: Awaitable[object]) -> None:
    try:
        async with asyncio.timeout(_STALLED_SECONDS):
            await sending
    except (ConnectionError, TimeoutError):
        raise ClientGone from None

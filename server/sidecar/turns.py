"""Requests of the sidecar go on one after the other, so that polls are answered between them."""

import asyncio

from aiohttp import web

PAUSE_SECONDS = 0.001
"""Between two that wait for each other. Without it a poll, which takes several turns of the event loop, waited for as many
requests."""


class Turns:
    """Of many that come at once one goes on at a time: a hundred were seen to hold the loop for 30 ms in one piece."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def wait(self) -> None:
        """Return when it is the caller's turn, at once where nobody else waits."""
        pause = PAUSE_SECONDS if self._turn.locked() else 0
        async with self._turn:
            await asyncio.sleep(pause)


TURNS = web.AppKey("turns", Turns)

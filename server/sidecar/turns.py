"""Requests of the sidecar go on one after the other, so that polls are answered between them."""

import asyncio

from aiohttp import web

PAUSE_SECONDS = 0.001
"""Between two that wait for each other. Without it a poll, which takes several turns of the event loop, waited for as many
requests."""


class Turns:
    """Of many that come at once one goes on at a time: a hundred were seen to hold the loop for 30 ms in one piece.

    Probes wait for each other only: behind thousands of other requests one would be too late, and its pod be restarted.
    """

    def __init__(self) -> None:
        self._turns = {True: asyncio.Lock(), False: asyncio.Lock()}

    async def wait(self, *, probe: bool) -> None:
        """Return when it is the caller's turn, at once where nobody else waits."""
        turn = self._turns[probe]
        pause = PAUSE_SECONDS if turn.locked() else 0
        async with turn:
            await asyncio.sleep(pause)


TURNS = web.AppKey("turns", Turns)

"""Waiting for what tells nobody when it happens: a condition, asked again and again, with a deadline."""

import asyncio
from collections.abc import Callable

PAUSE_SECONDS = 0.002


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until something in this process holds; TimeoutError when it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - see the module
            await asyncio.sleep(PAUSE_SECONDS)


async def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something that takes a request to find out holds; TimeoutError when it does not in time."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - see the module
            await asyncio.sleep(PAUSE_SECONDS)

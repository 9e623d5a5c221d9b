"""A call that may block for ever, in a thread that ends with the process: those of an executor would hold up its end."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


async def daemon_call(function: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
    """Call it beside the event loop, as ``asyncio.to_thread`` does. Who stops waiting leaves the thread to itself.

    Raises:
        Exception: whatever the function raises.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    results: list[Result] = []
    errors: list[Exception] = []

    def call() -> None:
        try:
            results.append(function(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            errors.append(error)
        with suppress(RuntimeError):  # Nobody waits any more, and the loop is closed.
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=call, name="daemon call", daemon=True).start()
    await ended.wait()
    if errors:
        raise errors[0]
    return results[0]

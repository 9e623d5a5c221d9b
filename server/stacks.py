"""What every thread and every task of this process is at: names of functions, files and lines, never a value."""

import asyncio
import gc
import sys
import threading
from collections.abc import Generator, Iterable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, Literal

import msgspec

from storage.pacing import paced

MOST_FRAMES = 60
"""Of one stack: those nearest to where it is."""

MOST_THREADS = 500

MOST_STACKS = 500
"""Of tasks; those that are at the same place count as one, so a crowd of idle connections hides nothing."""

MOST_NAME_CHARACTERS = 200

State = Literal["RUNNABLE", "BLOCKED", "WAITING"]

_STATES: dict[str, State] = {"R": "RUNNABLE", "D": "BLOCKED"}
"""What the kernel says of a thread: it runs; it waits for a disk or a network file system, and cannot be interrupted."""


class Frame(msgspec.Struct, frozen=True, rename="camel"):
    """A function that was called and has not returned."""

    file_name: str
    """Below the folder that it was imported from."""

    method_name: str
    line_number: int


class ThreadStack(msgspec.Struct, frozen=True, rename="camel"):
    """A thread."""

    thread_name: str
    thread_id: int
    """As `top -H` shows it."""

    daemon: bool
    thread_state: State
    stack_trace: list[Frame]
    """Where it is, first."""


class TaskStack(msgspec.Struct, rename="camel"):
    """A task of the event loop, or several that are at the same place and wait for the same."""

    name: str
    """Of the first of them."""

    count: int
    state: State
    waits_for: str | None
    """The name of another task; else of the kind of future, on which the first line of the stack says more."""

    stack: list[Frame]
    """Where it is, first."""


class Dump(msgspec.Struct, frozen=True, rename="camel"):
    """All of them, at one moment (tasks: within a few milliseconds)."""

    threads: list[ThreadStack]
    tasks: list[TaskStack]
    left_out: int
    """Threads and tasks that there was no room for."""


async def stacks_of_this_process() -> Dump:
    """Look at all threads, and at all tasks of the running loop."""
    threads = list(_threads())
    # Before the slices: while they are awaited this task may be seen as one that waits.
    tasks, left_out = await paced(_tasks(asyncio.all_tasks()))
    return Dump(threads[:MOST_THREADS], tasks, left_out + max(0, len(threads) - MOST_THREADS))


def _threads() -> Iterator[ThreadStack]:
    """Those that run Python."""
    frames = sys._current_frames()  # Documented, in spite of its name.
    for thread in threading.enumerate():
        number = thread.native_id or 0
        frame = frames.get(thread.ident or 0)
        stack = [] if frame is None else _stack(_callers(frame))
        yield ThreadStack(thread.name[:MOST_NAME_CHARACTERS], number, thread.daemon, _state_of(number), stack)


def _state_of(thread: int) -> State:
    try:
        told = Path(f"/proc/self/task/{thread}/stat").read_bytes()
    except OSError:  # It has ended, or this is no Linux.
        return "WAITING"
    return _STATES.get(told.rpartition(b") ")[2][:1].decode(), "WAITING")


def _tasks(tasks: "set[asyncio.Task[Any]]") -> Generator[None, None, tuple[list[TaskStack], int]]:
    found: dict[Any, TaskStack] = {}
    left_out = 0
    for task in tasks:
        yield
        # No method tells what a task waits for before Python 3.14.
        future = getattr(task, "_fut_waiter", None)
        waits_for = _name_of(future)
        state: State = "RUNNABLE" if future is None else "WAITING"
        stack = _stack(list(_awaited(task.get_coro()))[::-1])
        place = (state, waits_for, *((frame.file_name, frame.method_name, frame.line_number) for frame in stack))
        if place in found:
            found[place].count += 1
        elif len(found) < MOST_STACKS:
            found[place] = TaskStack(task.get_name()[:MOST_NAME_CHARACTERS], 1, state, waits_for, stack)
        else:
            left_out += 1
    return list(found.values()), left_out


def _name_of(future: object) -> str | None:
    if future is None:
        return None
    return future.get_name()[:MOST_NAME_CHARACTERS] if isinstance(future, asyncio.Task) else type(future).__name__


def _stack(frames: Iterable[FrameType]) -> list[Frame]:
    """The first of them."""
    stack = []
    for frame in islice(frames, MOST_FRAMES):
        code = frame.f_code
        stack.append(Frame(_short(code.co_filename), code.co_qualname, frame.f_lineno or code.co_firstlineno))
    return stack


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame of a thread, and who called it."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _awaited(waiting: object) -> Iterator[FrameType]:
    """The frame of a coroutine, and of what it awaits, down to what no Python code is in."""
    for _ in range(sys.getrecursionlimit()):
        match waiting:
            case CoroutineType():
                frame, waiting = waiting.cr_frame, waiting.cr_await
            case GeneratorType():
                frame, waiting = waiting.gi_frame, waiting.gi_yieldfrom
            case AsyncGeneratorType():
                frame, waiting = waiting.ag_frame, waiting.ag_await
            case None:
                return
            case _:
                # What steps through an async generator, or a coroutine's own iterator, shows it to nobody else.
                inner = (CoroutineType, GeneratorType, AsyncGeneratorType)
                waiting = next((one for one in gc.get_referents(waiting) if isinstance(one, inner)), None)
                continue
        if frame is not None:
            yield frame


@cache
def _short(file: str) -> str:
    """The path below the folder of ``sys.path`` that it is in."""
    folders = [folder for folder in sys.path if folder and file.startswith(folder.rstrip("/") + "/")]
    return file.removeprefix(max(folders, key=len)).lstrip("/") if folders else file

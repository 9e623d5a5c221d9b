"""What a dump shows of tasks and threads: where they are, and never a value."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import msgspec
import pytest

from server import stacks as stacks_module
from server.stacks import Dump, TaskStack, stacks_of_this_process

SECRET = "a-value-that-nobody-is-shown"


async def hold(lock: asyncio.Lock, secret: str) -> None:
    async with lock:
        pass


@asynccontextmanager
async def entered(lock: asyncio.Lock) -> AsyncIterator[None]:
    await hold(lock, SECRET)
    yield


async def enter(lock: asyncio.Lock) -> None:
    async with entered(lock):
        pass


def task_named(dump: Dump, name: str) -> TaskStack:
    (found,) = [task for task in dump.tasks if task.name == name]
    return found


async def test_a_task_that_waits_is_shown_down_to_what_it_waits_for() -> None:
    """Also through what steps an async generator, which shows it to nobody."""
    lock = asyncio.Lock()
    async with lock:
        waiting = asyncio.create_task(enter(lock), name="held up")
        await asyncio.sleep(0)
        dump = await stacks_of_this_process()
    await waiting
    task = task_named(dump, "held up")
    names = [frame.method_name for frame in task.stack]
    assert (names[0], names[2:4], names[-1]) == ("Lock.acquire", ["hold", "entered"], "enter")
    assert task.stack[-1].file_name == "tests/server/test_stacks.py"
    assert task.stack[0].file_name == "asyncio/locks.py"
    assert task.stack[-1].line_number == enter.__code__.co_firstlineno + 1
    assert (task.state, task.waits_for) == ("WAITING", "Future")
    assert SECRET not in msgspec.json.encode(dump).decode()


async def test_a_task_that_waits_for_another_names_it() -> None:
    async def wait(other: "asyncio.Task[None]") -> None:
        await other

    inner = asyncio.create_task(asyncio.sleep(60), name="inner")
    outer = asyncio.create_task(wait(inner), name="outer")
    await asyncio.sleep(0)
    dump = await stacks_of_this_process()
    inner.cancel()
    await asyncio.gather(outer, return_exceptions=True)
    assert task_named(dump, "outer").waits_for == "inner"


async def test_a_crowd_at_one_place_is_one_entry_and_what_has_no_room_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks_module, "MOST_STACKS", 2)
    lock = asyncio.Lock()
    async with lock:
        crowd = [asyncio.create_task(hold(lock, SECRET)) for _ in range(1000)]
        crowd += [asyncio.create_task(enter(lock)), asyncio.create_task(asyncio.sleep(60))]
        await asyncio.sleep(0)
        dump = await stacks_of_this_process()
    crowd[-1].cancel()
    await asyncio.gather(*crowd, return_exceptions=True)
    # This test's own task is one more.
    assert len(dump.tasks) == 2
    assert sum(task.count for task in dump.tasks) + dump.left_out == len(crowd) + 1


async def test_a_stack_that_is_deep_keeps_its_end() -> None:
    async def descend(steps: int, lock: asyncio.Lock) -> None:
        if steps == 0:
            await hold(lock, SECRET)
        else:
            await descend(steps - 1, lock)

    lock = asyncio.Lock()
    async with lock:
        task = asyncio.create_task(descend(200, lock), name="deep")
        await asyncio.sleep(0)
        dump = await stacks_of_this_process()
    await task
    stack = task_named(dump, "deep").stack
    assert len(stack) == stacks_module.MOST_FRAMES
    assert stack[2].method_name == "hold"


@contextmanager
def thread(event: threading.Event) -> Iterator[threading.Thread]:
    running = threading.Thread(target=event.wait, args=(20,), name="held up", daemon=True)
    running.start()
    try:
        yield running
    finally:
        event.set()
        running.join()


async def test_a_thread_is_shown_with_its_number_and_where_it_is() -> None:
    with thread(threading.Event()) as running:
        dump = await stacks_of_this_process()
    (found,) = [one for one in dump.threads if one.thread_name == "held up"]
    assert (found.thread_id, found.daemon) == (running.native_id, True)
    assert "Event.wait" in [frame.method_name for frame in found.stack_trace]
    (ours,) = [one for one in dump.threads if one.thread_id == threading.main_thread().native_id]
    assert (ours.daemon, ours.thread_state) == (False, "RUNNABLE")

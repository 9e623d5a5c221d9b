"""``/actuator/threaddump``: what every thread and every task is at, as JSON or to be read."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from aiohttp import web

from server.sidecar.configuration import json_response
from server.sidecar.route import Call, Route, Routes, Text
from server.stacks import Dump, Frame, stacks_of_this_process

TEXT = "text/plain"


async def threaddump(call: Call[None, None]) -> web.Response:
    """Threads in the form of Spring's, and beside them the tasks of the event loop. With `Accept: text/plain` it is text. There
    is never a value in it.
    """
    dump = await stacks_of_this_process()
    accepted = call.request.headers.get("Accept", "")
    if TEXT in accepted and "json" not in accepted:
        return web.Response(text="".join(f"{line}\n" for line in _lines(dump)), content_type=TEXT, charset="utf-8")
    return json_response(dump)


ROUTES: Routes = [
    Route(
        method="GET",
        path="/actuator/threaddump",
        summary="What every thread and task is at",
        handler=threaddump,
        role="admin",
        answers={200: (Dump, Text(TEXT))},
    )
]


def _lines(dump: Dump) -> Iterator[str]:
    yield f"{datetime.now(UTC).isoformat(timespec='milliseconds').replace('+00:00', 'Z')}"
    yield f"{len(dump.threads)} threads"
    for thread in dump.threads:
        daemon = " daemon" if thread.daemon else ""
        yield from _paragraph(f'"{thread.thread_name}" #{thread.thread_id}{daemon} {thread.thread_state}', thread.stack_trace)
    yield ""
    yield f"{sum(task.count for task in dump.tasks)} tasks"
    for task in dump.tasks:
        waits_for = "" if task.waits_for is None else f" for {task.waits_for}"
        times = "" if task.count == 1 else f", and {task.count - 1} more"
        yield from _paragraph(f'"{task.name}" {task.state}{waits_for}{times}', task.stack)
    if dump.left_out:
        yield ""
        yield f"{dump.left_out} more are left out"


def _paragraph(heading: str, stack: Sequence[Frame]) -> Iterator[str]:
    yield ""
    yield heading
    for frame in stack:
        yield f"    at {frame.method_name} ({frame.file_name}:{frame.line_number})"

"""HTTP polls at a constant rate, whatever the server does: in a process of its own, so that only the server's delays show.

``python -m bench.steady_polls PORT PER_SECOND SERVICE...`` polls until its standard input ends, and prints the seconds of each.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from urllib.parse import urlencode

import uvloop

CONNECTIONS = 50
"""So many polls can wait for their answers at once."""


async def steady_polls(port: int, per_second: int, services: Sequence[str]) -> list[float]:
    """Seconds from when each poll was due until its answer was there: a poll that has to wait for a free connection,
    because others wait for the server, is late and counts as slow."""
    seconds: list[float] = []
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    end = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    polls: set[asyncio.Task[None]] = set()

    async def poll(due: float, request: bytes) -> None:
        reader, writer = connection = await free.get()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"a poll was answered {head!r}")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
        seconds.append(time.perf_counter() - due)
        free.put_nowait(connection)

    requests = [
        f"GET /sampling?{urlencode({'service': name})} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() for name in services
    ]
    begin, count = time.perf_counter(), 0
    while not end.done():
        await asyncio.sleep(max(0.0, begin + count / per_second - time.perf_counter()))
        while (due := begin + count / per_second) <= time.perf_counter():
            task = asyncio.create_task(poll(due, requests[count % len(requests)]))
            polls.add(task)
            task.add_done_callback(polls.discard)
            count += 1
    await asyncio.gather(*polls)
    return seconds


if __name__ == "__main__":
    json.dump(uvloop.run(steady_polls(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])), sys.stdout)

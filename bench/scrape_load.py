"""Who looks at a server from outside, in a process of its own: ``python -m bench.scrape_load LOAD PORT``.

It goes on until its standard input ends, and prints how many whole answers it got. It gives way to others on the processor:
what is measured is the server, not what it leaves for the client that polls.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable

import uvloop

SCRAPE, HEALTH = "/actuator/prometheus", "/actuator/health"

AT_ONCE = 100

BYTE_SECONDS = 0.001
"""Between two bytes of the slow reader."""

RECEIVED_BYTES = 4096
"""What the kernel keeps for the slow reader: most of an answer has to wait in the server."""

NICE = 10


class Load:
    """Each method is one kind of load, and returns how many answers came."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._end = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    async def nothing(self) -> int:
        """To compare with."""
        await self._end
        return 0

    async def each_second(self) -> int:
        """A scrape and a health call, on a connection that is kept."""
        connection = await asyncio.open_connection("127.0.0.1", self._port)
        answers = 0
        while not await self._ended(1.0):
            for path in (SCRAPE, HEALTH):
                await _ask(path, *connection)
                answers += 1
        return answers

    async def hundred(self) -> int:
        """A hundred scrapes at once each second, each on a connection of its own."""
        answers = 0
        while not await self._ended(1.0):
            await asyncio.gather(*(self._scrape() for _ in range(AT_ONCE)))
            answers += AT_ONCE
        return answers

    async def slow(self) -> int:
        """One scrape after the other, read byte by byte."""
        loop = asyncio.get_running_loop()
        answers = 0
        while True:
            with socket.socket() as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
                connection.setblocking(False)
                await loop.sock_connect(connection, ("127.0.0.1", self._port))
                await loop.sock_sendall(connection, _request(SCRAPE, "close"))
                while await loop.sock_recv(connection, 1):
                    if await self._ended(BYTE_SECONDS):
                        return answers
            answers += 1

    async def _scrape(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        await _ask(SCRAPE, reader, writer)
        writer.close()

    async def _ended(self, seconds: float) -> bool:
        """Whether it is to end, within so many seconds."""
        ended, _ = await asyncio.wait((self._end,), timeout=seconds)
        return bool(ended)


def _request(path: str, connection: str = "keep-alive") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n".encode()


async def _ask(path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_request(path))
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(f"{path} was answered {head!r}")
    await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))


async def _main(load: str, port: int) -> int:
    one = Load(port)
    run: Callable[[], Awaitable[int]] = getattr(one, load)
    return await run()


if __name__ == "__main__":
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    os.nice(NICE)
    print(uvloop.run(_main(sys.argv[1], int(sys.argv[2]))))

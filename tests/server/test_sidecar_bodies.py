"""Bodies of requests: whoever is slow or goes away is told so, and is no defect."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from server.sidecar.errors import Problem, problem_middleware
from server.sidecar.requests import read_body

SECONDS = 0.05


@pytest.fixture
async def problems() -> "asyncio.Queue[Problem]":
    return asyncio.Queue()


@pytest.fixture
async def reading() -> asyncio.Event:
    """Whether a body has begun to be read."""
    return asyncio.Event()


@pytest.fixture
async def port(problems: "asyncio.Queue[Problem]", reading: asyncio.Event) -> AsyncIterator[int]:
    """Of a server that reads bodies of at most 100 bytes, and keeps what goes wrong."""

    async def read(request: web.Request) -> web.Response:
        reading.set()
        try:
            return web.Response(body=await read_body(request, 100, 60 if request.path == "/patient" else SECONDS))
        except Problem as problem:
            problems.put_nowait(problem)
            raise

    app = web.Application(middlewares=[problem_middleware])
    app.router.add_post("/{path}", read)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def begin(port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send the beginning of a body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{{".encode())
    await writer.drain()
    return reader, writer


async def test_a_slow_body_is_refused_when_its_time_is_over(port: int) -> None:
    reader, writer = await begin(port, "/hasty")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in head
    assert f"within {SECONDS:g} s".encode() in await reader.readuntil(b"}")
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_goes_away_within_its_body_is_no_defect(
    port: int, problems: "asyncio.Queue[Problem]", reading: asyncio.Event
) -> None:
    _, writer = await begin(port, "/patient")
    await reading.wait()
    writer.close()
    await writer.wait_closed()
    problem = await asyncio.wait_for(problems.get(), 5)
    assert (problem.status, problem.kind) == (400, "malformed-body")

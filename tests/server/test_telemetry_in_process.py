"""A server in this process: what only its own process can drive, and what is not there without PostgreSQL."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from server.app import serve
from server.settings import Settings
from tests.e2e.replica import PLAIN
from tests.services.local_server import free_port
from tests.waiting import until


@asynccontextmanager
async def server(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of its sidecar, once polls are answered."""
    sidecar = free_port()
    settings = Settings(
        data_dir=folder,
        sidecar_port=sidecar,
        metrics_port=free_port(),
        grpc_ports=(free_port(),),
        http_ports=(free_port(),),
    )
    stop = asyncio.Event()
    running = asyncio.create_task(serve(settings, stop))
    try:
        await until(lambda: not gc.isenabled() or running.done())
        await until(lambda: gc.isenabled() or running.done())  # From when on it is ready.
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{sidecar}/actuator", **PLAIN) as client:
            yield client
    finally:
        stop.set()
        await running
        gc.unfreeze()


async def test_a_collection_of_garbage_is_one_pause_and_there_is_no_pool_on_sqlite(tmp_path: Path) -> None:
    async with server(tmp_path) as client:

        async def pauses() -> dict[str, Any]:
            metric = (await client.get("/metrics/jvm.gc.pause")).json()
            return {measurement["statistic"]: measurement["value"] for measurement in metric["measurements"]}

        gc.disable()  # Else there is one whenever it is due.
        try:
            before = await pauses()
            gc.collect()
            after = await pauses()
            text = (await client.get("/prometheus")).text
        finally:
            gc.enable()
        assert after["COUNT"] == before["COUNT"] + 1
        assert 0 < after["TOTAL_TIME"] - before["TOTAL_TIME"] <= after["MAX"]
        assert f"\ntracing_config_gc_pause_seconds_count {after['COUNT']}\n" in text

        assert not any(name.startswith("hikaricp") for name in (await client.get("/metrics")).json()["names"])
        for part in ("", ".active", ".idle", ".max", ".pending"):
            assert (await client.get(f"/metrics/hikaricp.connections{part}")).status_code == 404
        assert "hikaricp" not in text
        assert "database_connections" not in text
    assert not any("pause" in repr(callback).lower() for callback in gc.callbacks)

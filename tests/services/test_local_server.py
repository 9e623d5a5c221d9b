import asyncio
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import asyncpg
import pytest

from tests.services.local_server import free_port
from tests.services.postgres import BINARIES_VARIABLE, PostgresServer
from tests.services.valkey import ValkeyServer

START_BOTH = """
from tests.services.postgres import PostgresServer
from tests.services.valkey import ValkeyServer

with PostgresServer() as postgres, ValkeyServer() as valkey:
    print(postgres.folder, valkey.folder, postgres.process, *postgres.children(), valkey.process, flush=True)
    input()
"""


def test_no_server_outlives_a_run_that_was_killed(postgres: PostgresServer) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", START_BOTH],
        cwd=Path(__file__).parents[2],
        env={**os.environ, BINARIES_VARIABLE: str(postgres.binaries)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with run:
        assert run.stdout is not None
        postgres_folder, valkey_folder, *processes = run.stdout.readline().split()
        servers = [os.pidfd_open(int(process)) for process in processes]
        run.send_signal(signal.SIGKILL)
    for server in servers:
        ended, _, _ = select.select([server], [], [], 10)
        os.close(server)
        assert ended
    shutil.rmtree(postgres_folder)
    shutil.rmtree(valkey_folder)


TAKE_PORTS = """
from tests.services.local_server import free_port

print(*(free_port() for _ in range(600)), flush=True)
input()
"""


def test_no_two_processes_are_given_the_same_port() -> None:
    others = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE_PORTS],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    given = [{free_port() for _ in range(600)}]
    for other in others:
        assert other.stdout is not None
        given.append({int(port) for port in other.stdout.readline().split()})
    for other in others:
        other.communicate("\n", timeout=10)
    assert sum(map(len, given)) == len(set.union(*given)) > 600


def test_a_server_outlives_the_thread_that_started_it(private_valkey: ValkeyServer) -> None:
    private_valkey.stop()
    thread = threading.Thread(target=private_valkey.start)
    thread.start()
    thread.join()
    private_valkey.flush()


async def test_what_was_committed_is_there_after_a_kill_on_the_same_port(private_postgres: PostgresServer) -> None:
    url = private_postgres.url(await private_postgres.create_database())
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    await asyncio.to_thread(private_postgres.kill)
    connection.terminate()
    with pytest.raises(ConnectionRefusedError):
        await asyncpg.connect(url)

    await asyncio.to_thread(private_postgres.start)
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT answer FROM kept") == 42
    await connection.close()


async def test_a_paused_server_answers_nobody_until_it_is_resumed(private_postgres: PostgresServer) -> None:
    connection = await asyncpg.connect(private_postgres.url())
    private_postgres.pause()
    waiting = asyncio.ensure_future(connection.fetchval("SELECT 42"))
    done, _ = await asyncio.wait([waiting], timeout=0.2)
    assert not done
    private_postgres.resume()
    assert await asyncio.wait_for(waiting, 10) == 42
    await connection.close()


def test_a_server_that_cannot_start_shows_its_log(private_postgres: PostgresServer) -> None:
    private_postgres.stop()
    with (
        socket.create_server(("127.0.0.1", private_postgres.port)),
        pytest.raises(RuntimeError, match="Address already in use"),
    ):
        private_postgres.start()
    private_postgres.start()


async def test_a_commit_waits_for_what_the_default_settings_wait_for(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    assert await connection.fetchval("SHOW synchronous_commit") == "on"
    await connection.close()

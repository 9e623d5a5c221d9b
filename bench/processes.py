"""The processes that are measured: how they are started and what the system says of them."""

import shlex
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

from bench.answer import Answer
from tests.e2e.replica import ROOT, Replica
from tests.services.local_server import free_port

START_SECONDS = 20.0


def processor_seconds(process: int) -> float:
    """User and system time of all threads, finer than the hundredths of ``/proc/<pid>/stat``.

    The clock is the one that ``clock_getcpuclockid(3)`` gives for another process.
    """
    return time.clock_gettime(~process << 3 | 2)


def resident_megabytes(process: int) -> float:
    """``VmRSS``, in units of 2^20 bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


class PlainServer:
    """A module of ``bench`` that answers every poll with the same bytes, in a process of its own."""

    def __init__(self, module: str, answer: Answer) -> None:
        self.port = free_port()
        self._command = [sys.executable, "-m", module, str(self.port), answer.framed.hex(), answer.json.decode()]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, cwd=ROOT, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while not _listens(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise RuntimeError(f"{shlex.join(self._command)} did not start; run it to see why")
            time.sleep(0.02)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid


def replica_on_port(data_dir: Path, **settings: str) -> tuple[Replica, int]:
    """Our server, not started yet, and its port: polls of both kinds are answered there before its log tells the number."""
    port = free_port()
    return Replica(data_dir, TRACING_CONFIG_GRPC_PORTS=str(port), **settings), port


def seconds_to_first_answer(replica: Replica, port: int, answer: Answer) -> float:
    """Start our server; the time from there until a poll gets this answer."""
    with ThreadPoolExecutor(1) as starting:
        begin = time.perf_counter()
        started = starting.submit(replica.start)

        def check_alive() -> None:
            if started.done():
                started.result()

        while not _listens(port):
            check_alive()
            time.sleep(0.002)
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            answer.wait_grpc(channel, check_alive)
        seconds = time.perf_counter() - begin
        started.result()
    return seconds


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

"""What PostgreSQL and Valkey have in common when a test or a benchmark starts them on this machine."""

import itertools
import os
import random
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Self

from tests.services.account import ENVIRONMENT, Account

START_SECONDS = 60.0
STOP_SECONDS = 15.0

# A parent-death signal is sent when the starting *thread* ends, so every server is started by this one.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="start-servers")


_PORTS = range(16_000, 32_000)
_PORTS_OF_A_PROCESS = 250


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens, and which no other process of the tests is given.

    It lies below the range from which the kernel takes ports for outgoing connections and for who asks for any: while a server
    is stopped, no client can be given its port, nor connect to itself on it, and no other server can take it.
    """
    while True:
        port = next(_own_ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def _reserved_ports() -> Iterator[int]:
    """The ports of one block, over and over. The block is this process's as long as it lives."""
    blocks = range(_PORTS.start, _PORTS.stop, _PORTS_OF_A_PROCESS)
    for first in random.sample(blocks, len(blocks)):
        # A name of this machine, not of a file: it is gone with the process, however that ends.
        with socket.socket(socket.AF_UNIX) as reservation:
            try:
                reservation.bind(f"\0tracing-config-tests-ports-{first}")
            except OSError:
                continue
            reservation.detach()
        yield from itertools.cycle(range(first, first + _PORTS_OF_A_PROCESS))
    raise RuntimeError("too many processes run tests on this machine")


_own_ports = _reserved_ports()


class LocalServer(ABC):
    """A real server on a port of its own, which stays the same however often it is stopped and started.

    Every method blocks until its effect is there (some 10 to 500 ms): in a running event loop call it through
    `asyncio.to_thread`. Its data live in a temporary folder until `close`. It dies with the process that started it.
    """

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    in_memory: ClassVar[bool] = False
    """Whether its data may be kept in memory."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.port = free_port()
        self.folder = account.temporary_folder(self.name, in_memory=self.in_memory)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> int | None:
        """The number of the process it was started as, which is its parent for all others; None while it is stopped."""
        return self._process.pid if self._process else None

    def children(self) -> list[int]:
        """The numbers of its other processes."""
        return _children(self._process.pid) if self._process else []

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the server, which is starting, accepts connections now."""

    def start(self) -> None:
        """Start the server and return when it accepts connections.

        Raises RuntimeError with the end of its log when it ends instead or is not ready in 60 seconds.
        """
        if self._process is not None:
            raise RuntimeError(f"{self.name} is running already")
        log = self.folder / "log"
        self._process = _starter.submit(self._spawn, log).result()
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            try:
                self._process.wait(timeout=0.005)
            except subprocess.TimeoutExpired:
                if time.monotonic() < deadline:
                    continue
            self.kill()
            raise RuntimeError(f"{self.name} did not start:\n{log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        """End the server in order; its data stay. A stopped server may be stopped again."""
        if self._process is None:
            return
        self.resume()
        self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End every process of the server at once, as a power cut would; its data stay as they are."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGSTOP)  # first, so that it starts no child behind our back
        children = []
        for child in self.children():
            with suppress(ProcessLookupError):
                children.append(os.pidfd_open(child))
                os.kill(child, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._process = None
        for child in children:
            _wait_until_ended(child)

    def restart(self) -> None:
        """Stop the server in order and start it again."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze every process of the server: connections are kept and accepted, and nothing answers."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        self._process.send_signal(signal.SIGSTOP)  # first, so that it starts no child behind our back
        self._signal_children(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on; one that is not frozen does not notice."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        self._signal_children(signal.SIGCONT)
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the server and remove its data."""
        self.stop()
        shutil.rmtree(self.folder)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _signal_children(self, number: signal.Signals) -> None:
        for child in self.children():
            with suppress(ProcessLookupError):
                os.kill(child, number)

    def _spawn(self, log: Path) -> subprocess.Popen[bytes]:
        launcher = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py"))]
        identity = [str(os.getpid()), str(self.account.user), str(self.account.group)]
        with log.open("ab") as output:
            return subprocess.Popen(
                [*launcher, *identity, *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=ENVIRONMENT,
                start_new_session=True,
            )


def _children(parent: int) -> list[int]:
    children = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state, its_parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_parent) == parent and state != "Z":
            children.append(int(process.name))
    return children


def _wait_until_ended(process: int) -> None:
    """Wait for a process that need not be our child, by its descriptor, which is closed then."""
    with selectors.DefaultSelector() as selector:
        selector.register(process, selectors.EVENT_READ)
        ended = selector.select(timeout=STOP_SECONDS)
    os.close(process)
    if not ended:
        raise RuntimeError("a process of a server did not end although it was killed")

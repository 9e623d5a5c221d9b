"""Real servers and clients that are written in Java: built from a small Maven project of the tests, and started."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from tests.services.account import Account
from tests.services.local_server import LocalServer

BUILD_SECONDS = 420
PROJECTS = Path(__file__).parents[1] / "integrations" / "java"
BUILT = Path(__file__).parents[2] / "build" / "java"
"""Kept between runs, by the hash of what they are built from."""

NEEDED = ("java", "mvn")


def classpath(project: str) -> str:
    """Build a folder under ``tests/integrations/java`` and return the class path of it and its dependencies.

    Where Java or Maven is not installed the test that asks is not run, and says so.
    """
    for program in NEEDED:
        if shutil.which(program) is None:
            pytest.skip(f"not run: {program} is not installed")
    source = PROJECTS / project
    files = sorted(path for path in source.rglob("*") if path.is_file())
    content = hashlib.sha256(b"".join(str(path.relative_to(source)).encode() + path.read_bytes() for path in files))
    built = BUILT / f"{project}-{content.hexdigest()[:12]}"
    if not built.is_dir():
        _build(source, built)
    return os.pathsep.join(map(str, sorted(built.rglob("*.jar"))))


def _build(source: Path, built: Path) -> None:
    built.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=built.parent) as folder:
        work = Path(folder) / "work"
        shutil.copytree(source, work)
        command = ["mvn", "-q", "-B", "package", "dependency:copy-dependencies", "-DoutputDirectory=target/jars"]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{source.name} cannot be built:\n{done.stdout[-3000:]}\n{done.stderr[-1000:]}")
        jars = Path(folder) / "jars"
        jars.mkdir()
        for jar in (*work.glob("target/*.jar"), *work.glob("target/jars/*.jar")):
            shutil.move(jar, jars / jar.name)
        jars.rename(built)


class JavaServer(LocalServer):
    """A server in a Java virtual machine, ready when it accepts connections on its port."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    project: ClassVar[str]
    """The folder of its Maven project."""

    main: ClassVar[str]
    """The class to start."""

    def __init__(self) -> None:
        self._classpath = classpath(self.project)
        self._java = shutil.which("java")
        super().__init__(Account.own())

    @abstractmethod
    def options(self) -> Sequence[str]:
        """Options of the virtual machine: ``-Xmx256m``, ``-Dserver.port=...``."""

    def arguments(self) -> Sequence[str]:
        return ()

    def command(self) -> list[str]:
        return [str(self._java), *self.options(), "-cp", self._classpath, self.main, *self.arguments()]

    def is_ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

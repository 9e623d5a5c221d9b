"""The image's build without a container engine: each stage of the Dockerfile in a folder that stands for its root."""

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from tests.deploy.dockerfile import ROOT, Instruction, context, instructions
from tests.services.account import ENVIRONMENT, Account

BUILD_SECONDS = 300.0

# Where the package index is, and how it is reached; not what would change the Python of a step.
_OURS = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


class Image:
    """What the steps leave behind, and programs of it that run as its user.

    Absolute paths of the Dockerfile lie under ``root``. Every stage is built there and moved aside for the next one, so that
    what a stage remembers of its own place is as true in the last one as in a container.
    """

    def __init__(self) -> None:
        # Only root may become another user; who is not root builds everything as, and for, itself.
        self.account = Account(65532, 65532) if os.geteuid() == 0 else Account.own()
        self.folder = self.account.temporary_folder("image")
        self.root = self.folder / "root"
        self.environment: dict[str, str] = {}
        self.process: dict[str, list[str]] = {}
        """The words of ENTRYPOINT, CMD and HEALTHCHECK."""

        self._context = self.folder / "context"
        self._stages: dict[str, Path] = {}
        self._stage = ""
        self._folder = self.root

    def build(self) -> None:
        """Do what the Dockerfile says."""
        for name in context():
            target = self._context / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        for instruction in instructions():
            self._do(instruction)
        if self.account.user == os.geteuid():
            self._seal()

    def run(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Start a program with the variables of the image and no others, as its user, in a folder that is not the program's."""
        foreign = self.account.user != os.geteuid()
        return subprocess.Popen(
            words,
            cwd="/",
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            user=self.account.user if foreign else None,
            group=self.account.group if foreign else None,
            extra_groups=[] if foreign else None,
        )

    def output(self, *words: str, code: int = 0, **variables: str) -> str:
        """What a program says that ends with this code."""
        with self.run(*words, **variables) as process:
            said, _ = process.communicate(timeout=60)
        assert process.returncode == code, said
        return said

    def remove(self) -> None:
        if self.account.user == os.geteuid():
            subprocess.run(["chmod", "-R", "u+w", self.folder], check=True)
        shutil.rmtree(self.folder)

    def _do(self, one: Instruction) -> None:
        match one.name:
            case "FROM":
                self._begin(one.words[-1])
            case "ENV":
                for name, value in one.pairs.items():
                    placed = ":".join(map(self._placed, value.split(":")))
                    self.environment[name] = placed.replace("$PATH", self.environment["PATH"])
            case "WORKDIR":
                self._folder = Path(self._placed(one.words[0]))
                self._folder.mkdir(parents=True, exist_ok=True)
            case "COPY":
                source = self._stages[one.flags["from"]] if "from" in one.flags else self._context
                *names, target = one.words
                for name in names:
                    self._copy(source / name.lstrip("/"), self._folder / self._placed(target), folder=target.endswith("/"))
            case "RUN":
                self._step(one)
            case "ENTRYPOINT" | "CMD":
                self.process[one.name] = one.words
            case "HEALTHCHECK":
                self.process[one.name] = Instruction("CMD", {}, one.text.removeprefix("CMD").strip()).words
            case other:
                assert other in {"ARG", "LABEL", "VOLUME", "USER", "EXPOSE", "STOPSIGNAL"}, f"{other} is not known here"

    def _begin(self, name: str) -> None:
        if self.root.exists():
            self._stages[self._stage] = self.folder / f"stage-{self._stage}"
            self.root.rename(self._stages[self._stage])
        self._stage, self._folder = name, self.root
        (self.root / "etc").mkdir(parents=True)
        for file in ("passwd", "group"):
            (self.root / "etc" / file).touch()
        _copy_python(self.root / "usr" / "local")
        place = self.root / "usr" / "local"
        # The second for a Python with a library of its own, which a container's loader is set up to find.
        self.environment = {"PATH": f"{place}/bin:{ENVIRONMENT['PATH']}", "LD_LIBRARY_PATH": f"{place}/lib"}

    def _step(self, one: Instruction) -> None:
        mount = dict(part.split("=", 1) for part in one.flags.get("mount", "").split(",") if part)
        if mount:
            assert mount.pop("type") == "bind"
            self._copy(self._context / mount["source"], Path(self._placed(mount["target"])), folder=False)
        words = [self._placed(word) for word in one.words]
        words = [str(self.account.user) if word == "65532" else word for word in words]
        ended = subprocess.run(
            words,
            cwd=self._folder,
            env={**_OURS, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
        assert ended.returncode == 0, f"RUN {one.text}\n{ended.stdout}"
        if mount:
            shutil.rmtree(self._placed(mount["target"]))

    def _placed(self, word: str) -> str:
        return f"{self.root}{word}" if word.startswith("/") else word

    @staticmethod
    def _copy(source: Path, target: Path, *, folder: bool) -> None:
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
            return
        place = target / source.name if folder else target
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, place)

    def _seal(self) -> None:
        """Take from ourselves what a container's user does not have: the right to write what root made."""
        writable = [self.root / "app" / name for name in ("data", "logs")]
        for path in self.root.rglob("*"):
            if not path.is_symlink() and path not in writable:
                path.chmod(path.stat().st_mode & ~0o222)
        self.root.chmod(0o555)


def _copy_python(target: Path) -> None:
    """What the base image brings: a Python without bytecode, with pip and no other package, that every user can reach."""
    version = f"python{sysconfig.get_python_version()}"
    (target / "bin").mkdir(parents=True)
    shutil.copy2(Path(sys.base_prefix, "bin", version).resolve(), target / "bin" / version)
    (target / "bin" / "python").symlink_to(version)
    (target / "lib").mkdir()
    for shared in Path(sys.base_prefix, "lib").glob("libpython*.so*"):
        shutil.copy2(shared, target / "lib" / shared.name)
    unwanted = shutil.ignore_patterns("__pycache__", "site-packages", "dist-packages", "test", "config-*", "idlelib")
    shutil.copytree(sysconfig.get_path("stdlib"), target / "lib" / version, ignore=unwanted)
    packages = subprocess.check_output(
        [target / "bin" / "python", "-Bc", "import site; print(site.getsitepackages()[0])"], text=True
    )
    pip = find_spec("pip")
    assert pip is not None
    assert pip.submodule_search_locations is not None
    shutil.copytree(pip.submodule_search_locations[0], Path(packages.strip()) / "pip", ignore=unwanted)

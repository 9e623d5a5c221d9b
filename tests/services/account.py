"""The user that a server of the tests runs as."""

import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

# Nothing of the environment of the tests reaches a server.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


MEMORY = Path("/dev/shm")
"""Linux keeps files there in memory. A database of PostgreSQL is 300 files: to make them took 20 ms here, and 200 on a disk."""

MEMORY_BYTES = 4 * 1024**3
"""Of them so many must be free: those of containers often have 64 MB in all."""


@dataclass(frozen=True)
class Account:
    """A user, by its numbers."""

    user: int
    group: int

    @classmethod
    def own(cls) -> Self:
        """Whoever runs the tests."""
        return cls(os.geteuid(), os.getegid())

    @classmethod
    def unprivileged(cls) -> Self:
        """Whoever runs the tests or, where that is root, `nobody`: PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return cls.own()
        nobody = pwd.getpwnam("nobody")
        return cls(nobody.pw_uid, nobody.pw_gid)

    def temporary_folder(self, name: str, *, in_memory: bool = False) -> Path:
        """A new folder that is this user's: in memory, where that is asked for and there is enough, else in the usual place or,
        where this user cannot enter that, in /tmp.
        """
        usual = MEMORY if in_memory and _has_memory() else Path(tempfile.gettempdir()).resolve()
        foreign = self.user != os.geteuid()
        closed = foreign and not all(folder.stat().st_mode & 0o001 for folder in (usual, *usual.parents))
        folder = Path(tempfile.mkdtemp(prefix=f"tracing-config-{name}-", dir="/tmp" if closed else usual))
        self.give(folder)
        return folder

    def give(self, folder: Path) -> None:
        """Make the folder and all in it this user's."""
        if self.user != os.geteuid():
            for path in (folder, *folder.rglob("*")):
                shutil.chown(path, self.user, self.group)

    def run(self, *command: str | Path) -> None:
        """Run a program to its end as this user.

        Raises OSError where this user cannot reach it and CalledProcessError, with its output, where it fails.
        """
        foreign = self.user != os.geteuid()
        subprocess.run(
            command,
            cwd="/",
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=True,
            user=self.user if foreign else None,
            group=self.group if foreign else None,
            extra_groups=[] if foreign else None,
        )


def _has_memory() -> bool:
    return os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES

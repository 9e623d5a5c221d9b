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

    def temporary_folder(self, name: str) -> Path:
        """A new folder that is this user's, in the usual place or, where this user cannot enter that, in /tmp."""
        usual = Path(tempfile.gettempdir()).resolve()
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

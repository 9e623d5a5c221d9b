"""How much memory and processor time this process may have: what its control groups say, else what the machine has."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from time import monotonic
from typing import NamedTuple

REREAD_SECONDS = 60.0
"""Limits change while a process runs (a pod is resized in place), and rarely."""

MOST_BYTES = 1024 * 1024
"""No more is read of a file; the list of mounts is the longest."""


class Limits(NamedTuple):
    """Both are what the machine has where nothing limits them."""

    memory_bytes: int
    cpu_cores: float


class ProcessLimits:
    """Remembers them for a while."""

    def __init__(self) -> None:
        self._limits: Limits | None = None
        self._read_at = 0.0

    @property
    def now(self) -> Limits:
        if self._limits is None or monotonic() - self._read_at > REREAD_SECONDS:
            self._limits, self._read_at = read_limits(), monotonic()
        return self._limits


def read_limits(root: Path = Path("/")) -> Limits:
    """The lowest limit of all control groups that this process is in, one within the other.

    Files: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of Linux, Documentation/scheduler/sched-bwc.rst.
    ``root`` is where ``proc`` and the control groups are.
    """
    memory = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    cores = [float(len(os.sched_getaffinity(0)))]
    for group in _control_groups(root):
        memory += _numbers(group / "memory.max")[:1] + _numbers(group / "memory.limit_in_bytes")
        quota = _numbers(group / "cpu.max") or _numbers(group / "cpu.cfs_quota_us") + _numbers(group / "cpu.cfs_period_us")
        if len(quota) == 2 and quota[0] > 0 and quota[1] > 0:
            cores.append(quota[0] / quota[1])
    return Limits(min(memory), min(cores))


def _control_groups(root: Path) -> Iterator[Path]:
    """The folders of the groups that this process is in, of each hierarchy that may limit it, up to where that is mounted."""
    groups: dict[str, str] = {}
    for line in _read(root / "proc/self/cgroup").split("\n")[:-1]:
        _, controllers, path = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), path))  # Version 2 has no controllers: its key is "".
    # Without the last piece: it is empty, or cut off. Other characters that end lines in Python may be part of a name.
    for line in _read(root / "proc/self/mountinfo").split("\n")[:-1]:
        mount, _, of = line.partition(" - ")
        kind, _, options = of.split(" ", 2)
        keys = {"cgroup": options.rsplit(" ", 1)[-1].split(","), "cgroup2": [""]}.get(kind, [])
        known = [PurePosixPath(groups[key]) for key in keys if key in groups and key in {"", "cpu", "memory"}]
        if not known:
            continue
        mounted, point = mount.split(" ")[3:5]
        top = root / point.lstrip("/")
        # In a container the group may be named as the host knows it, or as one that is above all that is mounted here.
        is_inside = known[0].is_relative_to(mounted) and ".." not in known[0].parts
        group = top / known[0].relative_to(mounted) if is_inside else top
        yield group
        while group != top:
            group = group.parent
            yield group


def _numbers(path: Path) -> list[int]:
    """What a file of limits says; nothing where it is not there, or says that there is no limit."""
    try:
        return [int(word) for word in _read(path).split()]
    except ValueError:  # ``max``
        return []


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES).decode(errors="replace")
    except OSError:
        return ""

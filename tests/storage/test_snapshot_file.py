"""The snapshot file."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage.errors import StoreUnavailable
from storage.interface import Copies, Point
from storage.snapshot_file import KEPT_LOST, SnapshotFile
from tests.storage.copies_contract import LARGE, STORE_ID, CopiesContract, Place, copy_of

ADDRESS = "postgresql://database.example/tracing"


class FilePlace(Place):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def copies(self) -> Copies:
        return SnapshotFile(self.folder, ADDRESS)

    async def bytes_there(self) -> bytes:
        return SnapshotFile(self.folder, ADDRESS).path.read_bytes()

    async def put(self, data: bytes) -> None:
        SnapshotFile(self.folder, ADDRESS).path.write_bytes(data)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def place(tmp_path: Path) -> FilePlace:
    return FilePlace(tmp_path)


class TestSnapshotFile(CopiesContract):
    pass


async def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        snapshot = SnapshotFile(tmp_path, ADDRESS)
        await snapshot.write(copy_of())
    finally:
        os.umask(mask)
    assert snapshot.path.stat().st_mode & 0o777 == 0o600


async def test_another_database_finds_another_file(tmp_path: Path) -> None:
    one, other = SnapshotFile(tmp_path, ADDRESS), SnapshotFile(tmp_path, ADDRESS + "2")
    await one.write(copy_of())
    assert await other.read() is None
    assert one.path.name.startswith("snapshot-1-")


async def test_the_folder_is_made_when_it_is_needed(tmp_path: Path) -> None:
    snapshot = SnapshotFile(tmp_path / "var" / "data", ADDRESS)
    assert await snapshot.read() is None
    assert not (tmp_path / "var").exists()
    assert await snapshot.write(copy_of()) is True


async def test_a_lost_history_is_set_aside(tmp_path: Path) -> None:
    snapshot = SnapshotFile(tmp_path, ADDRESS)
    assert await snapshot.rename_lost(copy_of().point) is None
    await snapshot.write(copy_of(revision=120))
    data = snapshot.path.read_bytes()
    lost = await snapshot.rename_lost(Point(STORE_ID, 121, "3f9a1c0200000000"))
    assert lost is not None
    assert lost.name.startswith("lost-121-3f9a1c0200000000")
    assert lost.read_bytes() == data
    assert await snapshot.read() is None
    assert await snapshot.write(copy_of(revision=90, checked_at=1.0)) is True


async def test_only_the_newest_lost_histories_of_a_database_are_kept(tmp_path: Path) -> None:
    foreign = SnapshotFile(tmp_path, "another database")
    await foreign.write(copy_of())
    of_another_database = await foreign.rename_lost(copy_of().point)
    assert of_another_database is not None
    snapshot = SnapshotFile(tmp_path, ADDRESS)
    lost: list[Path] = []
    for revision in [*range(100, 95, -1), 101, 102]:
        await snapshot.write(copy_of(revision=revision))
        path = await snapshot.rename_lost(copy_of(revision=revision).point)
        assert path is not None
        os.utime(path, (len(lost), len(lost)))
        lost.append(path)
    kept = [*lost[-KEPT_LOST:], of_another_database]
    assert names(tmp_path) == {"snapshot.lock", *(path.name for path in kept)}


async def test_a_full_disk_leaves_the_old_snapshot(tmp_path: Path) -> None:
    snapshot = SnapshotFile(tmp_path, ADDRESS)
    await snapshot.write(copy_of())
    before = names(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StoreUnavailable, match=f"{snapshot.path} cannot be written: File too large"):
            await snapshot.write(copy_of(LARGE, revision=8, checked_at=2000.0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await snapshot.read() == copy_of()
    assert names(tmp_path) == before


async def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    snapshot = SnapshotFile(tmp_path / "file", ADDRESS)
    for asked, done in (
        (snapshot.read(), "read"),
        (snapshot.header(), "read"),
        (snapshot.write(copy_of()), "read"),
        (snapshot.rename_lost(copy_of().point), "renamed"),
        (SnapshotFile(Path("/proc/nowhere"), ADDRESS).write(copy_of()), "written"),
    ):
        with pytest.raises(StoreUnavailable, match=f"snapshot-1-[0-9a-f]+.bin cannot be {done}: .+"):
            await asked


async def test_a_writer_waits_for_another_process_and_then_looks_again(tmp_path: Path) -> None:
    """Two processes share a folder for a moment when a replica is replaced."""
    script = (
        "import fcntl, sys\n"
        "lock = open(sys.argv[1], 'ab')\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "print('locked', flush=True)\n"
        "input()\n"
    )
    other = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, tmp_path / "snapshot.lock"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdin is not None
    assert other.stdout is not None
    assert await other.stdout.readline() == b"locked\n"
    snapshot = SnapshotFile(tmp_path, ADDRESS)
    writing = asyncio.create_task(snapshot.write(copy_of()))
    done, _ = await asyncio.wait([writing], timeout=0.2)
    assert not done
    later_one = SnapshotFile(tmp_path / "elsewhere", ADDRESS)
    await later_one.write(copy_of(revision=8, checked_at=2000.0))
    later_one.path.replace(snapshot.path)
    other.stdin.write(b"\n")
    assert await writing is False
    assert await other.wait() == 0
    assert await snapshot.read() == copy_of(revision=8, checked_at=2000.0)


WRITE_FOR_EVER = f"""
import asyncio, itertools, sys
from pathlib import Path
from storage.snapshot_file import SnapshotFile
from tests.storage.copies_contract import LARGE, copy_of

async def main():
    snapshot = SnapshotFile(Path(sys.argv[1]), {ADDRESS!r})
    header = await snapshot.header()
    for n in itertools.count(header.point.revision + 1 if header else 1):
        assert await snapshot.write(copy_of(LARGE, revision=n, checked_at=float(n)))
        print(n, flush=True)

asyncio.run(main())
"""


def kill_while_it_writes(folder: Path) -> int:
    """Start a process that writes one snapshot after the other, kill it, and return the last that it said it wrote."""
    command = [sys.executable, "-c", WRITE_FOR_EVER, str(folder)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        first = int(writer.stdout.readline())
        while not (folder / "snapshot.tmp").exists():
            assert writer.poll() is None
        writer.send_signal(signal.SIGKILL)
        return max(first, *map(int, writer.stdout.read().split()), 0)


async def test_a_kill_at_any_moment_leaves_the_old_or_the_new_snapshot(tmp_path: Path) -> None:
    kills = kills_amid_writing = 0
    # On a busy machine most kills come when the file that was seen has its name already.
    while kills < 8 or (kills_amid_writing == 0 and kills < 200):
        kills += 1
        said = await asyncio.to_thread(kill_while_it_writes, tmp_path)
        kills_amid_writing += "snapshot.tmp" in names(tmp_path)
        copy = await SnapshotFile(tmp_path, ADDRESS).read()
        assert copy is not None
        there = copy.point.revision
        assert there in (said, said + 1)
        assert copy == copy_of(LARGE, revision=there, checked_at=float(there))
    assert kills_amid_writing > 0


async def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "snapshot.tmp").write_bytes(b"the first half")
    await SnapshotFile(tmp_path, ADDRESS).write(copy_of())
    assert not (tmp_path / "snapshot.tmp").exists()

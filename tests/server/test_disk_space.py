"""How the disk is: asked for beside the event loop, one question at a time, and told once."""

import asyncio
import os
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from server import disk_space as disk_space_module
from server.disk_space import DiskSpace, Room
from tests.waiting import until


async def test_it_is_what_the_file_system_says(tmp_path: Path) -> None:
    disk = DiskSpace(tmp_path, threshold=0)
    assert not disk.up
    await disk.look()
    status = os.statvfs(tmp_path)
    assert disk.room is not None
    assert disk.room.total == status.f_blocks * status.f_frsize
    assert disk.room.free == pytest.approx(status.f_bavail * status.f_frsize, rel=0.05)
    assert (disk.up, disk.exists, disk.problem) == (True, True, None)


class Answers:
    """A file system whose room is what a test says."""

    def __init__(self, *answers: Room | OSError) -> None:
        self.answers = list(answers)

    def __call__(self, folder: Path) -> Room:
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer


async def told(disk: DiskSpace, looks: int) -> list[str]:
    """The levels of what is logged meanwhile."""
    with capture_logs() as logs:
        for _ in range(looks):
            await disk.look()
    return [line["log_level"] for line in logs]


async def test_too_little_room_is_one_line_and_enough_of_it_another(tmp_path: Path) -> None:
    disk = DiskSpace(tmp_path, 100, Answers(Room(1000, 100), Room(1000, 99), Room(1000, 1), Room(1000, 101)))
    assert await told(disk, 1) == []
    assert await told(disk, 2) == ["error"]
    assert (disk.up, disk.room, disk.exists) == (False, Room(1000, 1), True)
    assert "less than 100 bytes" in str(disk.problem)
    assert await told(disk, 1) == ["info"]
    assert disk.up


@pytest.mark.parametrize(("error", "exists"), [(FileNotFoundError(2, "gone"), False), (OSError(5, "broken"), True)])
async def test_a_folder_that_cannot_be_asked_for_is_down_with_the_reason(tmp_path: Path, error: OSError, exists: bool) -> None:
    disk = DiskSpace(tmp_path, 0, Answers(Room(1, 1), error, error))
    await disk.look()
    assert await told(disk, 2) == ["error"]
    assert (disk.up, disk.room, disk.exists, disk.problem) == (False, None, exists, error.strerror)


class Hanging:
    """A file system that answers when it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked = 0

    def __call__(self, folder: Path) -> Room:
        self.asked += 1
        self.released.wait(20)
        return Room(2, 1)


async def test_one_that_hangs_is_told_and_nobody_asks_it_again_before_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_space_module, "ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(disk_space_module, "LOOK_SECONDS", 0.0)
    hanging = Hanging()
    disk = DiskSpace(tmp_path, 0, hanging)
    disk.problem = None
    with capture_logs() as logs:
        task = asyncio.create_task(disk.run())
        try:
            await until(lambda: not disk.up)
            assert "does not answer" in str(disk.problem)
            await asyncio.sleep(0)
            assert hanging.asked == 1
            hanging.released.set()
            await until(lambda: disk.up)
        finally:
            hanging.released.set()
            await stopped(task)
    assert [line["log_level"] for line in logs] == ["error", "info"]


async def test_a_stop_waits_for_no_file_system_that_hangs(tmp_path: Path) -> None:
    hanging = Hanging()
    task = asyncio.create_task(DiskSpace(tmp_path, 0, hanging).run())
    await until(lambda: hanging.asked == 1)
    try:
        await asyncio.wait_for(stopped(task), 5)
    finally:
        hanging.released.set()


async def stopped(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

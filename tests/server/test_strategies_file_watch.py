"""The strategies file on disk: real folders, real links, and the system's own notices."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sampling.strategies_file import NO_FILE, StrategiesFile, StrategiesFileError
from server import strategies_file
from server.strategies_file import MAX_FILE_BYTES, StrategiesFileWatch
from tests.waiting import until

LOADED = "the strategies file is loaded"
FAILED = "the strategies file cannot be served; its last good state stays"


def document(*services: str) -> bytes:
    entries = ",".join(f'{{"service":"{name}","type":"probabilistic","param":0.5}}' for name in services)
    return f'{{"service_strategies":[{entries}]}}'.encode()


def is_watched(folder: Path) -> bool:
    """Whether the kernel has an inotify watch of this process on the folder."""
    mark = f" ino:{folder.stat().st_ino:x} "
    for descriptor in Path("/proc/self/fdinfo").iterdir():
        with suppress(OSError):
            if mark in descriptor.read_text():
                return True
    return False


class Followed:
    """A running watch, and the states that it has told of."""

    def __init__(self, watch: StrategiesFileWatch) -> None:
        self.watch = watch
        self._states: asyncio.Queue[StrategiesFile] = asyncio.Queue()
        watch.changed = self._states.put_nowait

    async def next_services(self) -> list[str]:
        file = await asyncio.wait_for(self._states.get(), 10)
        assert file is self.watch.current
        return list(file.services)

    async def until_problem(self, part: str | None) -> None:
        """Wait until the problem holds this text, or is gone."""

        def reached() -> bool:
            problem = self.watch.problem
            return problem is None if part is None else problem is not None and part in problem

        await until(reached)

    async def no_news_within(self, seconds: float) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self._states.get(), seconds)


@asynccontextmanager
async def following(path: Path) -> AsyncIterator[Followed]:
    watch = StrategiesFileWatch(path)
    await watch.load()
    followed = Followed(watch)
    task = asyncio.create_task(watch.run())
    try:
        await until(lambda: is_watched(path.parent))
        yield followed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def notices_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is not looked at unless the system tells of a change."""
    monkeypatch.setattr(strategies_file, "LOOK_SECONDS", 60.0)


@pytest.fixture
def frequent_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategies_file, "LOOK_SECONDS", 0.05)


def mounted(folder: Path, generation: str, data: bytes) -> None:
    """Put content in place as Kubernetes mounts a ConfigMap: a folder for each generation behind one swapped link."""
    (folder / generation).mkdir()
    (folder / generation / "strategies.json").write_bytes(data)
    (folder / "..data_tmp").symlink_to(generation)
    (folder / "..data_tmp").rename(folder / "..data")


async def test_the_file_is_there_after_the_load(tmp_path: Path) -> None:
    path = tmp_path / "strategies.json"
    path.write_bytes(document("a", "b"))
    watch = StrategiesFileWatch(path)
    assert (watch.current, watch.loaded_at) == (NO_FILE, 0)
    before = time.time()
    with capture_logs() as logs:
        await watch.load()
    assert before <= watch.loaded_at <= time.time()
    assert list(watch.current.services) == ["a", "b"]
    assert watch.problem is None
    assert logs == [
        {
            "event": LOADED,
            "log_level": "info",
            "path": str(path),
            "sha256": watch.current.sha256,
            "services": 2,
            "warnings": 0,
            "first_warnings": [],
        }
    ]


async def test_the_load_logs_the_first_warnings_and_counts_all(tmp_path: Path) -> None:
    path = tmp_path / "strategies.json"
    path.write_bytes(document("a", *["a"] * 7))
    with capture_logs() as logs:
        await StrategiesFileWatch(path).load()
    assert logs[0]["warnings"] == 7
    assert len(logs[0]["first_warnings"]) == 5
    assert logs[0]["first_warnings"][0] == "service_strategies[1].service: 'a' is listed twice; the last entry stands"


def too_large(path: Path) -> None:
    path.touch()
    os.truncate(path, MAX_FILE_BYTES + 1)


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda path: None, "cannot be read: No such file or directory; name a file that this user can read"),
        (lambda path: path.mkdir(), "cannot be read: Is a directory; name a file that this user can read"),
        (lambda path: path.symlink_to(path), "cannot be read: Too many levels of symbolic links; name a file"),
        (os.mkfifo, "cannot be read: it is no regular file; name a file that this user can read"),
        (lambda path: path.write_bytes(b'{"a":1,}'), "line 1, column 8: expecting a key in double quotes"),
        (lambda path: path.write_bytes(b""), "the file is empty; a file that configures nothing is {}"),
        (too_large, f"has {MAX_FILE_BYTES + 1} bytes; at most {MAX_FILE_BYTES} are read"),
    ],
    ids=["missing", "folder", "endless link", "pipe", "not JSON", "empty", "too large"],
)
async def test_a_load_that_fails_names_the_setting_the_file_and_the_reason_in_one_line(
    tmp_path: Path, prepare: Callable[[Path], None], reason: str
) -> None:
    path = tmp_path / "strategies.json"
    prepare(path)
    with pytest.raises(StrategiesFileError) as caught:
        await StrategiesFileWatch(path).load()
    assert str(caught.value).startswith(f"TRACING_CONFIG_STRATEGIES_FILE: {path}: {reason}")
    assert "\n" not in str(caught.value)


def in_place(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def renamed_over(path: Path, data: bytes) -> None:
    aside = path.with_name("aside")
    aside.write_bytes(data)
    aside.rename(path)


def deleted_and_created(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize("change", [in_place, renamed_over, deleted_and_created])
@pytest.mark.usefixtures("notices_only")
async def test_a_change_is_taken_however_it_is_made(tmp_path: Path, change: Callable[[Path, bytes], None]) -> None:
    path = tmp_path / "strategies.json"
    path.write_bytes(document("a"))
    async with following(path) as followed:
        change(path, document("b", "c"))
        assert await followed.next_services() == ["b", "c"]
        change(path, document())
        assert await followed.next_services() == []
        assert followed.watch.problem is None


@pytest.mark.usefixtures("notices_only")
async def test_a_change_is_taken_that_the_clock_of_the_file_system_is_too_coarse_to_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strategies_file, "_version", lambda path: (1, 2, 3, 4, 5))
    path = tmp_path / "strategies.json"
    path.write_bytes(document("a"))
    async with following(path) as followed:
        in_place(path, document("b"))
        assert await followed.next_services() == ["b"]


@pytest.mark.usefixtures("notices_only")
async def test_the_swapped_link_of_a_mounted_config_map_is_a_change(tmp_path: Path) -> None:
    mounted(tmp_path, "..2026_01", document("a"))
    path = tmp_path / "strategies.json"
    path.symlink_to("..data/strategies.json")
    async with following(path) as followed:
        for generation in ("..2026_02", "..2026_03"):
            mounted(tmp_path, generation, document(generation))
            assert await followed.next_services() == [generation]


@pytest.mark.usefixtures("frequent_looks")
async def test_a_change_of_a_links_target_in_another_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "content"
    target.write_bytes(document("a"))
    path = tmp_path / "linked" / "strategies.json"
    path.symlink_to(target)
    async with following(path) as followed:
        target.write_bytes(document("b"))
        assert await followed.next_services() == ["b"]


@pytest.mark.usefixtures("frequent_looks")
async def test_a_folder_that_goes_away_and_comes_back_is_followed_again(tmp_path: Path) -> None:
    folder = tmp_path / "mount"
    folder.mkdir()
    path = folder / "strategies.json"
    path.write_bytes(document("a"))
    async with following(path) as followed:
        shutil.rmtree(folder)
        await followed.until_problem("No such file or directory")
        assert list(followed.watch.current.services) == ["a"]
        folder.mkdir()
        path.write_bytes(document("b"))
        assert await followed.next_services() == ["b"]
        assert followed.watch.problem is None
        await until(lambda: is_watched(folder))
        path.write_bytes(document("c"))
        assert await followed.next_services() == ["c"]


@pytest.mark.parametrize("bad", [b"{", b"", b'{"service_strategies":[null]}'])
@pytest.mark.usefixtures("notices_only")
async def test_what_cannot_be_served_leaves_the_last_good_state_until_the_file_is_good_again(
    tmp_path: Path, bad: bytes
) -> None:
    path = tmp_path / "strategies.json"
    path.write_bytes(document("a"))
    async with following(path) as followed:
        good = followed.watch.current
        renamed_over(path, bad)
        await followed.until_problem(str(path))
        assert followed.watch.current is good
        renamed_over(path, document("b"))
        assert await followed.next_services() == ["b"]
        assert followed.watch.problem is None


@pytest.mark.usefixtures("notices_only")
async def test_the_same_content_again_after_a_problem_ends_the_problem_and_is_no_change(tmp_path: Path) -> None:
    path = tmp_path / "strategies.json"
    path.write_bytes(document("a"))
    async with following(path) as followed:
        good = followed.watch.current
        path.unlink()
        await followed.until_problem("No such file or directory")
        path.write_bytes(document("a"))
        await followed.until_problem(None)
        assert followed.watch.current is good
        path.write_bytes(document("b"))
        assert await followed.next_services() == ["b"]


@pytest.mark.usefixtures("frequent_looks")
async def test_each_change_is_logged_once_however_often_the_file_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "strategies.json"
    path.write_bytes(document("a"))
    with capture_logs() as logs:
        async with following(path) as followed:
            path.touch()
            await followed.no_news_within(0.3)
            renamed_over(path, b"{")
            await followed.until_problem("line 1")
            renamed_over(path, b"{")
            await followed.no_news_within(0.3)
            path.unlink()
            await followed.until_problem("No such file")
            await followed.no_news_within(0.3)
            renamed_over(path, document("b"))
            await followed.next_services()
            path.touch()
            await followed.no_news_within(0.3)
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        (LOADED, "info"),
        (FAILED, "error"),
        (FAILED, "error"),
        (LOADED, "info"),
    ]
    assert logs[1]["reason"] == f"{path}: line 1, column 2: expecting a key in double quotes"

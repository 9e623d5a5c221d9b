"""The log in files: bounded, and going on whatever happens to the folder."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from server.telemetry.log_files import MAX_FILES, LogFiles


def line(number: int) -> str:
    return f'{{"number":{1000 + number}}}\n'


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "made" / "logs"


@pytest.fixture
def files(folder: Path) -> LogFiles:
    """Of ten lines each."""
    files = LogFiles(folder, max_bytes=10 * len(line(0)))
    files.open()
    return files


def test_the_newest_lines_are_kept_in_ten_files_whose_names_find_takes(folder: Path, files: LogFiles) -> None:
    for number in range(1000):
        files.write([line(number)])
    assert names(folder) == sorted(["tracing-config.log", *(f"tracing-config.{number}.log" for number in range(1, MAX_FILES))])
    oldest_first = [*(folder / f"tracing-config.{number}.log" for number in range(9, 0, -1)), folder / "tracing-config.log"]
    assert "".join(path.read_text() for path in oldest_first) == "".join(line(number) for number in range(900, 1000))
    assert {path.stat().st_mode & 0o7777 for path in oldest_first} == {0o640}


def test_lines_that_waited_together_are_in_files_of_the_usual_size(folder: Path) -> None:
    files = LogFiles(folder, max_bytes=200 * len(line(0)))
    files.open()
    files.write([line(number) for number in range(1000)])
    assert {path.stat().st_size for path in folder.iterdir()} == {200 * len(line(0))}


def test_a_second_start_goes_on_in_the_same_file(folder: Path, files: LogFiles) -> None:
    files.write([line(1)])
    files.close()
    files.open()
    files.write([line(2)])
    assert (folder / "tracing-config.log").read_text() == line(1) + line(2)


def test_a_file_that_is_deleted_or_moved_away_is_followed_by_a_new_one(folder: Path, files: LogFiles) -> None:
    files.write([line(1)])
    (folder / "tracing-config.log").unlink()
    files.write([line(2)])
    assert (folder / "tracing-config.log").read_text() == line(2)
    (folder / "tracing-config.log").rename(folder / "kept.log")
    files.write([line(3)])
    assert (folder / "tracing-config.log").read_text() == line(3)
    assert (folder / "kept.log").read_text() == line(2)


def test_two_servers_in_one_folder_lose_no_line_and_break_none(folder: Path, files: LogFiles) -> None:
    other = LogFiles(folder, max_bytes=10 * len(line(0)))
    other.open()
    for number in range(0, 80, 2):
        files.write([line(number)])
        other.write([line(number + 1)])
    told = [json.loads(each)["number"] for path in folder.iterdir() for each in path.read_text().splitlines()]
    assert sorted(told) == list(range(1000, 1080))


def test_while_another_server_moves_the_files_they_are_only_written(folder: Path, files: LogFiles) -> None:
    files.write([line(number) for number in range(10)])
    with (folder / "tracing-config.log").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        files.write([line(10)])
        assert names(folder) == ["tracing-config.log"]
    files.write([line(11)])
    assert (folder / "tracing-config.1.log").read_text() == "".join(map(line, range(11)))
    assert (folder / "tracing-config.log").read_text() == line(11)


def test_a_folder_that_goes_away_is_told_once_and_written_again_when_it_is_back(folder: Path, files: LogFiles) -> None:
    files.write([line(1)])
    folder.rename(folder.with_name("elsewhere"))
    with capture_logs() as told:
        for number in (2, 3):
            files.write([line(number)])
        folder.mkdir()
        for number in (4, 5):
            files.write([line(number)])
    assert [(each["log_level"], each.get("reason"), each.get("lost")) for each in told] == [
        ("warning", "No such file or directory", None),
        ("info", None, 2),
    ]
    assert (folder / "tracing-config.log").read_text() == line(4) + line(5)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "tracing-config.log")
    with pytest.raises(OSError, match=r".") as error:
        LogFiles(tmp_path).open()
    assert error.value.strerror

"""The token file: what it takes, that it is read again, and the command that writes it."""

import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from typer.testing import CliRunner

from sampling.records import Key
from server.cli.commands import commands
from server.sidecar.identity import Identity, identity_of
from server.sidecar.tokens import Tokens, read_token_file, token_digest
from server.watched_file import WatchedFile

HASH = token_digest("a token").hex()
OTHER_HASH = token_digest("another token").hex()
GOOD = {"name": "ci", "role": "editor", "sha256": HASH}


def test_a_token_is_found_by_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps([GOOD, {"name": "team", "role": "editor", "services": ["team-*"], "sha256": OTHER_HASH}]))
    tokens = Tokens(read_token_file(file))
    assert len(tokens) == 2
    assert tokens.bearer(token_digest("a token")) == Identity("ci", "editor")
    assert tokens.bearer(token_digest("another token")) == Identity("team", "editor", ("team-*",))
    assert tokens.bearer(token_digest("a third token")) is None
    assert Tokens().bearer(token_digest("a token")) is None


@pytest.mark.parametrize(
    ("place", "content"),
    [
        ("not a list", {}),
        ("not a list", [7]),
        ("name", [{"role": "editor", "sha256": HASH}]),
        ("role", [{"name": "ci", "sha256": HASH}]),
        ("sha256", [{"name": "ci", "role": "editor"}]),
        ("role", [{**GOOD, "role": "root"}]),
        ("token", [{**GOOD, "token": "a token"}]),
        ("[0].sha256", [{**GOOD, "sha256": "a token"}]),
        ("[0].sha256", [{**GOOD, "sha256": HASH.upper()}]),
        ("[0].sha256", [{**GOOD, "sha256": f"{HASH}\n"}]),
        ("[0].name", [{**GOOD, "name": ""}]),
        ("[0].name", [{**GOOD, "name": "admin"}]),
        ("[0].name", [{**GOOD, "name": "schedule"}]),
        ("[0].name", [{**GOOD, "name": "two\nlines"}]),
        ("services", [{**GOOD, "services": None}]),
        ("services", [{**GOOD, "services": "team-*"}]),
        ("[0].services", [{**GOOD, "services": []}]),
        ("[0].services", [{**GOOD, "services": [""]}]),
        ("[0].services", [{**GOOD, "role": "admin", "services": ["*"]}]),
        ("[0].services", [{**GOOD, "role": "viewer", "services": ["*"]}]),
        ("[1].name", [GOOD, {**GOOD, "sha256": OTHER_HASH}]),
        ("[1].sha256", [GOOD, {**GOOD, "name": "other"}]),
        ("1001 tokens", [{"name": f"n{i}", "role": "viewer", "sha256": f"{i:064x}"} for i in range(1001)]),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_by_its_place_without_its_secrets(
    tmp_path: Path, place: str, content: Any
) -> None:
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=re.escape(place)) as error:
        read_token_file(file)
    assert str(file) in str(error.value)
    assert "a token" not in str(error.value).replace("a list of tokens", "")
    assert HASH not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"[", b"\xff", b"[" * 100_000, b" " * (1024 * 1024 + 1)])
def test_a_file_that_is_no_json_or_too_large_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "tokens.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(file))):
        read_token_file(file)


def watched(path: Path) -> tuple[WatchedFile[str], list[str]]:
    """A watched text file, and what was used of it; a text with `bad` in it cannot be read."""
    used: list[str] = []

    def read(path: Path) -> str:
        try:
            text = path.read_text()
        except OSError as error:
            raise ValueError(f"cannot read {path}: {error.strerror}") from None
        if "bad" in text:
            raise ValueError("the text is bad")
        return text

    file = WatchedFile("SETTING", path, read, used.append)
    file.load()
    return file, used


def test_a_watched_file_is_read_again_when_it_is_written_or_swapped(tmp_path: Path) -> None:
    """Also with the same length at the same time, and by a link further up, as Kubernetes mounts secrets."""
    for name, text in (("first", "one"), ("second", "two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(text)
        os.utime(tmp_path / name / "file", (1_000_000_000, 1_000_000_000))
    (tmp_path / "data").symlink_to("first")
    file, used = watched(tmp_path / "data" / "file")
    file.reload()
    assert used == ["one"]
    (tmp_path / "new").symlink_to("second")
    (tmp_path / "new").replace(tmp_path / "data")
    file.reload()
    file.reload()
    assert used == ["one", "two"]
    for text in ("thr", "fou"):
        (tmp_path / "second" / "file").write_text(text)
        file.reload()
    assert used == ["one", "two", "thr", "fou"]


@pytest.mark.parametrize(("seconds_ago", "expected"), [(60, 1), (0, 4)])
def test_a_file_at_rest_is_not_read_and_one_just_written_is(tmp_path: Path, seconds_ago: int, expected: int) -> None:
    """A second write within the same tick of the file system's clock cannot be seen without reading it."""
    path = tmp_path / "file"
    path.write_text("one")
    written = time.time() - seconds_ago
    os.utime(path, (written, written))
    reads = 0

    def read(_path: Path) -> int:
        nonlocal reads
        reads += 1
        return reads

    file = WatchedFile("SETTING", path, read, lambda _content: None)
    file.load()
    for _ in range(3):
        file.reload()
    assert reads == expected


def test_a_file_that_breaks_again_is_told_again(tmp_path: Path) -> None:
    for name, text in (("good", "one"), ("broken", "bad")):
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (1_000_000_000, 1_000_000_000))
    path = tmp_path / "file"
    path.symlink_to("good")
    file, used = watched(path)
    with capture_logs() as logs:
        for name in ("broken", "good", "broken"):
            path.unlink()
            path.symlink_to(name)
            file.reload()
    assert [line["reason"] for line in logs] == ["the text is bad"] * 2
    assert used == ["one"]


def test_broken_content_is_told_once_and_the_last_good_content_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    file, used = watched(path)
    with capture_logs() as logs:
        path.write_text("bad")
        file.reload()
        file.reload()
        path.unlink()
        file.reload()
        file.reload()
    assert [(line["log_level"], line["setting"], line["reason"]) for line in logs] == [
        ("error", "SETTING", "the text is bad"),
        ("error", "SETTING", f"cannot read {path}: No such file or directory"),
    ]
    assert used == ["one"]
    with capture_logs() as logs:
        path.write_text("two")
        file.reload()
        path.write_text("bad")
        file.reload()
    assert [line["log_level"] for line in logs] == ["info", "error"]
    assert used == ["one", "two"]


def create(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of ``tracing-config token create``."""
    result = CliRunner().invoke(commands, ["token", "create", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_a_token_is_printed_once_and_its_hash_is_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    code, output, told = create("ci", "--role", "editor", "--service", "team-*", "--service", "a", "--file", str(file))
    token = output.strip()
    assert (code, output) == (0, f"{token}\n")
    assert len(token) > 40
    assert token not in told
    assert token not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert Tokens(read_token_file(file)).bearer(token_digest(token)) == Identity("ci", "editor", ("team-*", "a"))
    assert list(tmp_path.iterdir()) == [file]


def test_without_a_file_the_entry_is_told_to_be_pasted(tmp_path: Path) -> None:
    code, output, told = create("reader", "--role", "viewer", "--json")
    said = json.loads(output)
    assert (code, said["name"], said["role"]) == (0, "reader", "viewer")
    assert said["token"] not in told
    file = tmp_path / "tokens.json"
    file.write_text(f"[{told.splitlines()[-1]}]")
    assert Tokens(read_token_file(file)).bearer(token_digest(said["token"])) == Identity("reader", "viewer")


def test_a_name_is_replaced_only_on_purpose(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    tokens = [create(name, "--role", "viewer", "--file", str(file))[1].strip() for name in ("a", "b")]
    before = file.read_bytes()
    code, output, told = create("a", "--role", "admin", "--file", str(file))
    assert (code, output) == (1, "")
    assert "--replace" in told
    assert file.read_bytes() == before
    new = create("a", "--role", "admin", "--file", str(file), "--replace")[1].strip()
    found = Tokens(read_token_file(file))
    assert [found.bearer(token_digest(token)) for token in (*tokens, new)] == [
        None,
        Identity("b", "viewer"),
        Identity("a", "admin"),
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("ci",),
        ("ci", "--role", "root"),
        ("", "--role", "viewer"),
        ("admin", "--role", "admin"),
        ("ci", "--role", "admin", "--service", "a"),
        ("ci", "--role", "editor", "--service", ""),
    ],
)
def test_wrong_usage_makes_no_token(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    code, output, _ = create(*arguments, "--file", str(tmp_path / "tokens.json"))
    assert (code, output) == (2, "")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_or_written_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    file.write_text("[{]")
    code, output, told = create("ci", "--role", "viewer", "--file", str(file))
    assert (code, output, file.read_text()) == (1, "", "[{]")
    assert str(file) in told
    assert create("ci", "--role", "viewer", "--file", str(tmp_path / "none" / "tokens.json"))[:2] == (1, "")


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path: Path) -> None:
    link, file = tmp_path / "link.json", tmp_path / "tokens.json"
    file.write_text("[]")
    link.symlink_to(file)
    assert create("ci", "--role", "viewer", "--file", str(link))[0] == 0
    assert link.is_symlink()
    assert len(read_token_file(file)) == 1


def test_tokens_that_are_made_at_once_are_all_in_the_file(tmp_path: Path) -> None:
    from server.sidecar.tokens import add_to_token_file, entry_of, make_token

    file = tmp_path / "tokens.json"
    entries = [entry_of(make_token(), Identity(f"name-{number}", "viewer")) for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda entry: add_to_token_file(file, entry, replace=False), entries))
    assert {entry.name for entry in read_token_file(file)} == {entry.name for entry in entries}


KINDS = st.sampled_from(["service", "policy", "boost"])


@given(kind=KINDS, name=st.sampled_from(["team-a", "team-", "team", "checkout", "default", "xteam-a", "Team-a"]))
def test_a_scope_is_services_and_boosts_whose_name_matches(kind: Any, name: str) -> None:
    scoped = identity_of("team", "editor", ("team-*", "checkout"))
    expected = kind != "policy" and (name.startswith("team-") or name == "checkout")
    assert scoped.may_write(Key(kind, name)) is expected
    assert identity_of("ci", "editor", None).may_write(Key(kind, name))

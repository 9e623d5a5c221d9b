"""Whom the command line asks, with which token, and how wrong usage ends."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.cli.credential import credential_for
from tests.e2e.command_line import FAILED, USAGE, Run, closed_port, environment, runner
from tests.e2e.replica import ROOT, TOKEN, Replica


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    with Replica(tmp_path_factory.mktemp("cli")) as replica:
        yield replica


@pytest.fixture
def run(replica: Replica) -> Run:
    return runner(replica)


def test_a_server_that_is_not_there_is_named_with_the_cure(run: Run) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    for arguments in (("get", "default"), ("list", "services"), ("explain", "a"), ("set", "default", "--probability", "1")):
        refused = run(*arguments, "--url", url, code=FAILED)
        assert url in refused.stderr
        assert "TRACING_CONFIG_URL" in refused.stderr
        assert refused.stdout == ""


def test_an_address_that_is_something_else_is_told(run: Run, replica: Replica) -> None:
    assert replica.http_url in run("get", "default", "--url", replica.http_url, code=FAILED).stderr
    nowhere = run("get", "default", "--url", f"{replica.sidecar_url}/elsewhere", code=FAILED).stderr
    assert nowhere == "tracing-config: there is nothing at /elsewhere/api/v1/config/default; is the address right?\n"


def test_white_space_around_an_address_is_no_part_of_it(run: Run, replica: Replica) -> None:
    run("get", "default", "--url", f" {replica.sidecar_url}/ ")
    run("get", "default", TRACING_CONFIG_URL=f"{replica.sidecar_url}\n")


@pytest.mark.parametrize(
    "url", ["localhost:8093", "ftp://localhost", "http://", "http://[::1", "http://a:b@localhost:8093", "x"]
)
def test_what_is_no_address_is_wrong_usage(run: Run, url: str) -> None:
    assert "TRACING_CONFIG_URL" in run("get", "default", "--url", url, code=USAGE).stderr
    run("get", "default", code=USAGE, TRACING_CONFIG_URL=url)


def test_a_token_that_is_refused_is_told_with_its_origin_and_never_shown(run: Run, tmp_path: Path) -> None:
    wrong = "wrong-0123456789-token"
    refused = run("get", "default", code=FAILED, TRACING_CONFIG_TOKEN=wrong)
    assert "TRACING_CONFIG_TOKEN" in refused.stderr
    file = tmp_path / "token"
    file.write_text(f"{wrong}\n")
    by_file = run("get", "default", code=FAILED, TRACING_CONFIG_TOKEN="", TRACING_CONFIG_TOKEN_FILE=str(file))
    assert str(file) in by_file.stderr
    none = run("get", "default", code=FAILED, TRACING_CONFIG_TOKEN="")
    assert "TRACING_CONFIG_TOKEN" in none.stderr
    for result in (refused, by_file, none):
        assert wrong not in result.output
        assert result.stdout == ""


def test_a_token_with_characters_that_no_header_takes_is_not_shown_either(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("two\nsecret-lines")
    refused = run("get", "default", code=FAILED, TRACING_CONFIG_TOKEN="", TRACING_CONFIG_TOKEN_FILE=str(file))
    assert "secret" not in refused.output
    assert refused.stderr == (
        f"tracing-config: the token from {file} (TRACING_CONFIG_TOKEN_FILE) is empty or has characters that no token has; "
        "name one with a token that this server knows\n"
    )
    assert str(file) in refused.stderr


def test_a_token_comes_from_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    run("get", "default", TRACING_CONFIG_TOKEN="", TRACING_CONFIG_TOKEN_FILE=str(file))
    missing = tmp_path / "missing"
    refused = run("get", "default", code=FAILED, TRACING_CONFIG_TOKEN="", TRACING_CONFIG_TOKEN_FILE=str(missing))
    assert str(missing) in refused.stderr


def test_only_the_server_that_is_there_without_any_setting_gets_the_token_of_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "admin-token").write_text("generated\n")
    settings = {"TRACING_CONFIG_DATA_DIR": str(tmp_path)}
    for url in ("http://localhost:8093", "http://127.0.0.1:8093", "http://[::1]:8093"):
        assert credential_for(url, settings).token == "generated"
    for url in ("http://localhost:8094", "http://example.com:8093", "https://localhost:8093", "http://localhost"):
        assert credential_for(url, settings).token == ""
    assert credential_for("http://localhost:8093", {**settings, "TRACING_CONFIG_TOKEN": "given"}).token == "given"
    assert credential_for("http://localhost:8093", {"TRACING_CONFIG_DATA_DIR": str(tmp_path / "none")}).token == ""


def test_the_token_is_sent_but_stands_in_no_argument(replica: Replica) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "server", "get", "default", "--url", f"http://127.0.0.1:{server.getsockname()[1]}"],
            cwd=ROOT,
            env={**os.environ, **environment(replica)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        server.settimeout(30)
        connection, _ = server.accept()
        with connection:
            assert f"Bearer {TOKEN}".encode() in connection.recv(65536)
            assert TOKEN.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        output, _ = process.communicate(timeout=30)
    assert process.returncode == FAILED
    assert TOKEN.encode() not in output


def test_a_record_without_anything_in_it_is_told_what_it_could_have(run: Run) -> None:
    assert "--enabled or --disabled alone" in run("set", "service", "a", code=USAGE).stderr
    assert "--enabled" not in run("set", "default", code=USAGE).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("set", "service", "a"),
        ("set", "service", "a", "--probability", "0.5", "--rate-limit", "5"),
        ("set", "service", "a", "--probability", "nan"),
        ("set", "service", "a", "--lower-bound", "1"),
        ("set", "service", "a", "--operation", "no equals sign"),
        ("set", "service", "", "--probability", "1"),
        ("set", "policy", "a", "--probability", "1"),
        ("set", "service", "a", "--unheard-of"),
        ("get", "service"),
        ("get", "nothing", "a"),
        ("delete", "service", ".."),
        ("rollback", "first"),
        ("list", "services", "--type", "x"),
        ("list", "policies", "--type", "x"),
        ("list", "services", "--source", "x"),
        ("history", "--kind", "default"),
        ("no-such-command",),
    ],
)
def test_wrong_usage_ends_with_2_and_asks_nobody(run: Run, arguments: tuple[str, ...]) -> None:
    refused = run(*arguments, code=USAGE, TRACING_CONFIG_URL="http://127.0.0.1:1")
    assert refused.stdout == ""
    assert refused.stderr

"""The actuator: what it lists, who is shown what of health, what runs here and what it is at."""

import asyncio
import platform
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.sidecar.identity import Identity
from server.sidecar.tokens import add_to_token_file, entry_of, make_token
from tests.e2e.command_line import runner
from tests.e2e.replica import PLAIN, TOKEN, Replica
from tests.waiting import eventually

VIEWER = make_token()
AS_ADMIN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def hiding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A replica that shows the parts of its health to those with a token."""
    folder = tmp_path_factory.mktemp("actuator")
    add_to_token_file(folder / "tokens.json", entry_of(VIEWER, Identity("reader", "viewer")), replace=False)
    settings = {
        "TRACING_CONFIG_HEALTH_DETAILS": "authorized",
        "TRACING_CONFIG_TOKENS_FILE": str(folder / "tokens.json"),
        "TRACING_CONFIG_TRUSTED_PROXIES": "1",
    }
    with Replica(folder / "data", **settings) as replica:
        yield replica


def ask(replica: Replica, path: str = "", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.get(f"{replica.sidecar_url}/actuator{path}", headers=named, timeout=15, **PLAIN)


def test_it_links_what_there_is_below_it_at_the_host_at_which_it_was_asked(hiding: Replica) -> None:
    answer = ask(hiding, Host="tracing-config.exalt.com:8093")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    links = answer.json()["_links"]
    base = "http://tracing-config.exalt.com:8093/actuator"
    assert links["self"] == {"href": base, "templated": False}
    assert links["health"] == {"href": f"{base}/health", "templated": False}
    assert links["health-path"] == {"href": f"{base}/health/{{path}}", "templated": True}
    assert {"info", "prometheus", "configprops", "threaddump"} <= links.keys()
    for name, link in ask(hiding).json()["_links"].items():
        if not link["templated"]:
            assert httpx.get(link["href"], headers=AS_ADMIN, **PLAIN).status_code == 200, name


@pytest.mark.parametrize("host", ["", "a b", "user@a", "a/b", "a?b", "[::1", 'a"><script>', "x" * 254])
def test_it_links_to_no_host_that_is_none(hiding: Replica, host: str) -> None:
    refused = ask(hiding, Host=host)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "Host")
    assert "script" not in refused.text


def test_behind_a_proxy_that_is_trusted_it_links_as_clients_reach_that(hiding: Replica) -> None:
    assert ask(hiding, X_Forwarded_Proto="https").json()["_links"]["self"]["href"].startswith("https://127.0.0.1:")
    assert ask(hiding, X_Forwarded_Proto="javascript").json()["_links"]["self"]["href"].startswith("http://127.0.0.1:")


def test_health_shows_its_parts_to_those_with_a_token_and_its_status_to_all(hiding: Replica) -> None:
    for path in ("/health", "/health/db", "/health/catalog"):
        for token in (VIEWER, TOKEN):
            shown = ask(hiding, path, Authorization=f"Bearer {token}")
            assert (shown.status_code, len(shown.json())) == (200, 2)
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic cm9vdA=="}):
            hidden = ask(hiding, path, **headers)
            assert (hidden.status_code, hidden.json()) == (200, {"status": "UP"})
    for headers in ({}, {"Authorization": f"Bearer {VIEWER}"}):
        assert ask(hiding, "/health/nothing", **headers).status_code == 404


@pytest.mark.parametrize("path", ["", "/db", "/liveness", "/readiness"])
def test_monitors_that_ask_without_wanting_a_body_are_answered(hiding: Replica, path: str) -> None:
    answer = httpx.head(f"{hiding.sidecar_url}/actuator/health{path}")
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_token_that_is_guessed_at_health_is_told_and_none_is_nothing(hiding: Replica) -> None:
    def refusals() -> float:
        return hiding.metrics()['tracing_config_authentication_failures_total{reason="unknown-token"}']

    before = refusals()
    ask(hiding, "/health")
    assert refusals() == before
    ask(hiding, "/health", Authorization="Bearer a-guess")
    assert refusals() == before + 1
    line = hiding.wait_for_event(lambda event: event["message"] == "authentication failed")
    assert "a-guess" not in str(line)


def test_a_token_that_was_added_is_known_to_health_soon(hiding: Replica) -> None:
    """No request of health waits for a file."""
    added = make_token()
    file = Path(hiding.environment["TRACING_CONFIG_TOKENS_FILE"])
    add_to_token_file(file, entry_of(added, Identity("added", "viewer")), replace=False)
    asyncio.run(eventually(lambda: "components" in ask(hiding, "/health", Authorization=f"Bearer {added}").json()))


def test_a_command_that_needs_the_parts_of_health_says_how_to_be_shown_them(hiding: Replica) -> None:
    refused = runner(hiding)("store", "accept", "--yes", code=1, TRACING_CONFIG_TOKEN="wrong")
    assert "TRACING_CONFIG_TOKEN" in refused.stderr
    followed = runner(hiding)("store", "accept", "--yes", code=1)
    assert "there is nothing to accept" in followed.stderr


def test_info_says_what_runs_here_and_nothing_of_the_machine(hiding: Replica) -> None:
    told = ask(hiding, "/info").json()
    uptime, started = told.pop("uptimeSeconds"), datetime.fromisoformat(told.pop("started"))
    assert 0 < uptime <= (datetime.now(UTC) - started).total_seconds() + 0.001
    assert told == {
        "app": {"name": "tracing-config", "version": version("tracing-config")},
        "python": {"version": platform.python_version(), "implementation": platform.python_implementation()},
        "store": "SQLite",
        "pollServer": "h2corn",
    }


async def test_a_dump_finds_the_write_that_a_lock_holds_up_and_the_thread_that_waits_for_it(hiding: Replica) -> None:
    blocked: list[dict[str, Any]] = []
    threads: list[dict[str, Any]] = []

    def found() -> bool:
        dump = ask(hiding, "/threaddump", **AS_ADMIN).json()
        assert "a-name-that-is-a-value" not in str(dump)
        blocked[:] = [task for task in dump["tasks"] if "Follower.commit" in methods(task["stack"])]
        threads[:] = [thread for thread in dump["threads"] if "Attempt.run" in methods(thread["stackTrace"])]
        return bool(blocked and threads)

    def write() -> None:
        while hiding.put_rate("a-name-that-is-a-value", 0.5).status_code == 503:  # It waits for two seconds.
            pass

    with closing(sqlite3.connect(hiding.data_dir / "tracing-config.db")) as database:
        database.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(asyncio.to_thread(write))
        await eventually(found)
        database.rollback()
    await writing
    (task,), (thread,) = blocked, threads
    assert task["state"] == "WAITING"
    assert task["stack"][-1]["fileName"].startswith("aiohttp/")
    assert thread["threadName"].startswith("sqlite-write")
    assert thread.keys() == {"threadName", "threadId", "daemon", "threadState", "stackTrace"}
    assert thread["stackTrace"][0].keys() == {"fileName", "methodName", "lineNumber"}


def methods(stack: list[dict[str, Any]]) -> list[str]:
    return [frame["methodName"] for frame in stack]


def test_a_dump_can_be_read_by_people(hiding: Replica) -> None:
    text = ask(hiding, "/threaddump", Accept="text/plain", **AS_ADMIN)
    assert text.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert f'"MainThread" #{hiding.pid} RUNNABLE' in text.text
    assert "    at Follower.run (server/follower.py:" in text.text

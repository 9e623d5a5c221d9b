"""The log of a real server: nothing that anybody sends breaks its lines or gives them secrets; the files have what the standard
output has, and their disk may fill up."""

import json
import resource
import socket
import time
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from server.telemetry.log_line import ACTING, MAX_LINE_BYTES
from tests.e2e.replica import TOKEN, Replica
from tests.waiting import until

HOSTILE = {
    "newlines": "a\r\nb\n{}",
    "escape": "\x1b[31mred\x9b2J",
    "separators": "a\u2028b\u2029c\x85d",
    "NUL": "a\0b",
    "direction": "\u202egnp.exe",
    "forged": '","level":"ERROR","message":"authentication failed 6.6.6.6 unauthorized","x":"',
    "long": "x" * 1_000_000,
}
BODY_SECRET = "in-the-body-of-a-request"


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    folder = tmp_path_factory.mktemp("log")
    settings = {"TRACING_CONFIG_LOG_DIR": str(folder / "logs"), "TRACING_CONFIG_TRUSTED_PROXIES": "1"}
    with Replica(folder / "data", LOG_LEVEL="DEBUG", **settings) as replica:
        yield replica


def files(replica: Replica) -> Path:
    return Path(replica.environment["TRACING_CONFIG_LOG_DIR"])


def send(port: int, request: bytes) -> None:
    """A request as it is, whatever the server makes of it."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(request)
            while connection.recv(65_536):
                pass
        except ConnectionError:  # It did not want to read the rest.
            pass


def head(method: str, path: str, text: str, authorization: bytes) -> bytes:
    """A request with the text everywhere that lets a header have it."""
    raw = text.replace("\r", " ").replace("\n", " ").encode("utf-8", "surrogateescape")
    names = (b"User-Agent", b"X-Forwarded-For", b"X-Forwarded-Host", b"traceparent", b"tracestate", b"Referer", b"If-Match")
    headers = b"".join(b"%s: %s\r\n" % (name, raw) for name in names)
    line = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n".encode()
    return line + b"Authorization: Bearer " + authorization + b"\r\n" + headers + b"\r\n"


def marked(replica: Replica) -> str:
    """Wait for the standard output to have a line that is made now, and return what else has it once it is there too."""
    client = str(IPv6Address(2**125 + time.monotonic_ns()))
    replica.api("GET", "/services", headers={"X-Forwarded-For": client})
    replica.wait_for_event(lambda event: event.get("remote_addr") == client)
    return client


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_whatever_is_sent_a_line_stays_a_line(replica: Replica, text: str) -> None:
    before = len(replica.events)
    name, port = quote(text[:5000], safe=""), int(replica.environment["TRACING_CONFIG_SIDECAR_PORT"])
    polls = int(replica.environment["TRACING_CONFIG_HTTP_PORTS"])
    for token in (TOKEN.encode(), text.replace("\r", " ").replace("\n", " ").encode()):
        for method, path in (
            ("DELETE", f"/api/v1/config/services/{name}"),
            ("GET", f"/{name}"),
            ("GET", f"/actuator/health?{name}"),
        ):
            send(port, head(method, path, text, token))
            send(port, head(method, path, "plain", token))
    send(port, head("DELETE", f"/api/v1/config/services/{name}", "plain", b"wrong"))
    send(polls, head("GET", f"/sampling?service={name}", text, b"x"))
    body = {"samplingStrategy": {"type": "probabilistic", "param": 0.5}, "description": BODY_SECRET}
    replica.api("PUT", f"/services/{name}", json=body)
    replica.api("PUT", f"/services/of-this-kind?reason={quote(text[:1000])}", json={**body, "description": text[:100]})
    marked(replica)
    log = (files(replica) / "tracing-config.log").read_bytes()
    assert len(replica.events) > before + 3
    for line in log.decode().splitlines(keepends=True):
        assert line.endswith("\n")
        assert isinstance(json.loads(line), dict)
        assert not ACTING.search(line)
        assert len(line.encode()) <= MAX_LINE_BYTES
    assert TOKEN.encode() not in log
    assert BODY_SECRET.encode() not in log
    failed = [event for event in replica.events[before:] if event["message"] == "authentication failed"]
    assert failed
    for event in failed:
        assert (event["level"], event["remote_addr"]) == ("WARN", "127.0.0.1")
        assert "6.6.6.6" not in str(event)


def test_the_banner_of_the_embedded_server_is_lines_of_the_log(replica: Replica) -> None:
    banner = [(event["level"], event["message"]) for event in replica.events if event["logger"] == "h2corn"]
    assert banner[:2] == [("DEBUG", "starting"), ("DEBUG", "listening")]


def test_a_disk_that_fills_up_costs_no_line_of_the_standard_output_and_is_told_once(replica: Replica) -> None:
    file = files(replica) / "tracing-config.log"
    marked(replica)
    most = resource.prlimit(replica.pid, resource.RLIMIT_FSIZE)
    try:
        resource.prlimit(replica.pid, resource.RLIMIT_FSIZE, (file.stat().st_size + 10, most[1]))
        start = len(replica.events)
        for _ in range(5):
            marked(replica)
        full = file.read_bytes()
        assert replica.rate("checkout") == 0.001
    finally:
        resource.prlimit(replica.pid, resource.RLIMIT_FSIZE, most)
    assert full.endswith(b"}\n")
    marked(replica)
    again = replica.wait_for_event(lambda event: event["message"] == "the files of the log are written again")
    told = [event for event in replica.events[start:] if event["logger"] == "server.telemetry.log_files"]
    assert [event["level"] for event in told] == ["WARN", "INFO"]
    assert told[0]["reason"] == "File too large"
    assert again["lost"] >= 5
    assert sum(event["message"] == "a request was answered" for event in replica.events[start:]) >= 6


async def test_the_files_have_what_the_standard_output_has(replica: Replica) -> None:
    """The last test of the server: it is stopped. In another order only where two threads wrote at once."""
    last, file = marked(replica), files(replica) / "tracing-config.log"
    await until(lambda: last in file.read_text())
    known = len(replica.events)
    file.unlink()
    marked(replica)
    replica.stop()
    with pytest.raises(AssertionError, match="the server ended"):
        replica.wait_for_event(lambda _event: False)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert in_order(lines) == in_order(replica.events[known:])
    assert lines[-1]["message"] == "stopped"


def in_order(events: list[dict[str, Any]]) -> list[str]:
    return sorted(map(json.dumps, events))

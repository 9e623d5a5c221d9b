"""``tracing-config health``: it asks the server of its own settings, and its exit code is the answer."""

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trustme

from server.cli import health
from tests.e2e.certificates import Authority
from tests.e2e.replica import ROOT, Replica
from tests.e2e.test_tls import tls
from tests.services.local_server import free_port


class Answer(BaseHTTPRequestHandler):
    """Answers one path with the status of its server."""

    def do_GET(self) -> None:
        self.send_response(self.server.status if self.path == "/actuator/health/liveness" else 404)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@contextlib.contextmanager
def sidecar(host: str = "127.0.0.1", status: int = 200, certificate: trustme.LeafCert | None = None) -> Iterator[str]:
    """A server that stands for the sidecar; its port."""
    server = HTTPServer((host, free_port()), Answer)
    server.status = status  # type: ignore[attr-defined]
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield str(server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Asks with these settings: the exit code, the output, the errors."""

    def ask(**settings: str) -> tuple[int, str, str]:
        for name, value in settings.items():
            monkeypatch.setenv(f"TRACING_CONFIG_{name}", value)
        return health.check_health(), *capsys.readouterr()

    return ask


def test_a_server_that_runs_is_up_and_one_that_does_not_is_told(tmp_path: Path) -> None:
    def run(replica: Replica) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "server", "health"]
        return subprocess.run(
            command, cwd=ROOT, env=replica.environment, capture_output=True, text=True, timeout=20, check=False
        )

    replica = Replica(tmp_path)
    with replica:
        ended = run(replica)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "UP\n", "")
    ended = run(replica)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert "Connection refused" in ended.stderr


@pytest.mark.parametrize("asks_for_certificates", [False, True])
def test_with_a_certificate_it_asks_over_https(asked: Ask, tmp_path: Path, asks_for_certificates: bool) -> None:
    authority = Authority(tmp_path / "authority")
    issued, client = authority.server(tmp_path / "certs"), authority.client("health")
    settings = tls("SIDECAR", issued, authority if asks_for_certificates else None)
    with Replica(tmp_path / "data", **settings).trusted(authority.context(client)).start() as replica:
        port = replica.environment["TRACING_CONFIG_SIDECAR_PORT"]
        assert asked(SIDECAR_PORT=port)[0] == 1
        assert asked(SIDECAR_TLS_CERT=str(issued.cert))[0] == int(asks_for_certificates)
        assert asked(CLIENT_CERT=str(client.cert), CLIENT_KEY=str(client.key)) == (0, "UP\n", "")


def test_a_clients_certificate_that_cannot_be_used_is_told(asked: Ask) -> None:
    code, _, told = asked(SIDECAR_TLS_CERT="/not-read.crt", CLIENT_CERT="/nowhere.crt", CLIENT_KEY="/nowhere.key")
    assert (code, "TRACING_CONFIG_CLIENT_CERT" in told) == (1, True)


def test_the_name_in_the_certificate_is_not_looked_at(asked: Ask) -> None:
    with sidecar(certificate=trustme.CA().issue_cert("tracing-config.example.org")) as port:
        assert asked(SIDECAR_PORT=port, SIDECAR_TLS_CERT="/not-read.crt") == (0, "UP\n", "")


def test_every_address_is_asked_at_the_loopback_and_another_one_at_itself(asked: Ask) -> None:
    with sidecar() as port:
        assert asked(SIDECAR_PORT=port, HOST="0.0.0.0")[0] == 0
        assert asked(SIDECAR_PORT=port, HOST="localhost")[0] == 0
    with sidecar("127.0.0.2") as port:
        assert asked(SIDECAR_PORT=port, HOST="127.0.0.2")[0] == 0
        assert asked(SIDECAR_PORT=port, HOST="127.0.0.1")[0] == 1


def test_another_status_is_told(asked: Ask) -> None:
    with sidecar(status=500) as port:
        code, _, told = asked(SIDECAR_PORT=port)
    assert code == 1
    assert "answers 500" in told


def test_a_server_that_hangs_is_told_in_time(asked: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", free_port())) as hanging:
        code, _, told = asked(SIDECAR_PORT=str(hanging.getsockname()[1]))
    assert code == 1
    assert "timed out" in told


def test_what_answers_something_else_is_told(asked: Ask) -> None:
    def answer() -> None:
        connection, _ = other.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"220 mail.example.com\r\n")

    with socket.create_server(("127.0.0.1", free_port())) as other:
        thread = threading.Thread(target=answer)
        thread.start()
        code, _, told = asked(SIDECAR_PORT=str(other.getsockname()[1]))
        thread.join()
    assert code == 1
    assert "does not answer" in told


def test_a_bad_port_or_one_that_nobody_knows_is_told_by_its_setting(asked: Ask) -> None:
    for port in ("x", "0"):
        code, _, told = asked(SIDECAR_PORT=port)
        assert code == 1
        assert "TRACING_CONFIG_SIDECAR_PORT" in told


def test_a_secret_that_cannot_be_read_says_nothing_about_the_server(asked: Ask) -> None:
    with sidecar() as port:
        assert asked(SIDECAR_PORT=port, ADMIN_TOKEN_FILE="/nowhere")[0] == 0

"""What is no request at all is answered as every other failure: a problem, the security headers, nothing that was sent."""

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.replica import PLAIN, TOKEN, Replica

SECRET = b"s3cr3t"

NO_REQUESTS = {
    "a header that is too long": b"GET /actuator/health HTTP/1.1\r\nAuthorization: Bearer " + SECRET * 4000 + b"\r\n\r\n",
    "a line that is too long": b"GET /" + SECRET * 20_000 + b" HTTP/1.1\r\n\r\n",
    "a character that no header has": b"GET / HTTP/1.1\r\nAuthorization: Bearer tok\0" + SECRET + b"\r\n\r\n",
    "a version that is not known": b"GET /" + SECRET + b" HTTP/9.9\r\n\r\n",
    "two lengths": b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "no HTTP": b"\x16\x03\x01" + SECRET + b"\r\n\r\n",
}


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    with Replica(tmp_path_factory.mktemp("connection")) as replica:
        yield replica


def answer(url: str, sent: bytes) -> tuple[str, dict[str, str], bytes]:
    """The first line, the headers and the body of what comes back until the server closes."""
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(sent)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return first, dict(line.lower().split(": ", 1) for line in lines), body


@pytest.mark.parametrize("sent", NO_REQUESTS.values(), ids=NO_REQUESTS)
@pytest.mark.parametrize("port", ["sidecar_url", "metrics_url"])
def test_what_the_library_refuses_is_a_problem_that_repeats_nothing(replica: Replica, port: str, sent: bytes) -> None:
    first, headers, body = answer(getattr(replica, port), sent)
    assert first.split()[1] == "400"
    assert headers["content-type"] == "application/problem+json"
    assert (headers["server"], headers["x-content-type-options"]) == ("tracing-config", "nosniff")
    assert json.loads(body)["type"] == "urn:tracing-config:problem:malformed-request"
    assert SECRET not in body
    assert httpx.get(f"{replica.sidecar_url}/actuator/health", timeout=5, **PLAIN).status_code == 200


@pytest.mark.parametrize("encoding", ["br", "zstd"])
def test_an_encoding_that_cannot_be_read_is_a_problem(replica: Replica, encoding: str) -> None:
    refused = replica.api("PUT", "/services/a", content=b"{}", headers={"Content-Encoding": encoding})
    assert (refused.status_code, refused.headers["Content-Type"]) == (400, "application/problem+json")
    assert refused.json()["detail"].startswith("Content-Encoding: ")


def test_what_is_expected_and_not_known_is_a_problem_that_repeats_nothing(replica: Replica) -> None:
    refused = replica.api("PUT", "/services/a", content=b"{}", headers={"Expect": SECRET.decode()})
    assert (refused.status_code, refused.headers["Content-Type"]) == (417, "application/problem+json")
    assert SECRET not in refused.content


def test_a_client_that_waits_for_it_is_told_to_send_its_body(replica: Replica) -> None:
    body = b'{"samplingStrategy": {"type": "probabilistic", "param": 0.5}}'
    head = (
        f"PUT /api/v1/config/services/waits HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n"
        f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", int(replica.sidecar_url.rpartition(":")[2])), 10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 OK\r\n")
    assert replica.rate("waits") == 0.5


def test_a_token_that_is_too_long_is_refused_as_that_with_its_line_in_the_log(replica: Replica) -> None:
    refused = replica.api("GET", "/services", headers={"Authorization": "Bearer " + "x" * 10_000})
    assert refused.status_code == 401
    event = replica.wait_for_event(lambda event: event["message"] == "authentication failed")
    assert "more than 8000 characters" in event["reason"]


def test_two_tokens_are_refused_whichever_comes_first(replica: Replica) -> None:
    for tokens in ((TOKEN, "no"), ("no", TOKEN), (TOKEN, TOKEN)):
        headers = [("Authorization", f"Bearer {token}") for token in tokens]
        refused = httpx.get(f"{replica.sidecar_url}/api/v1/config/services", headers=headers, timeout=5, **PLAIN)
        assert refused.status_code == 401
        assert "more than one" in refused.json()["detail"]

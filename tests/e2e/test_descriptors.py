"""A server that ran out of file descriptors for a while."""

import resource
import socket
from pathlib import Path

import httpx
import pytest

from tests.e2e.certificates import Authority
from tests.e2e.replica import Replica
from tests.e2e.test_tls import tls
from tests.waiting import eventually


@pytest.mark.parametrize("over_tls", [False, True], ids=["plain", "TLS"])
async def test_polls_are_answered_again_once_there_are_descriptors(tmp_path: Path, over_tls: bool) -> None:
    authority = Authority(tmp_path / "authority")
    settings = tls("POLL", authority.server(tmp_path / "certs")) if over_tls else {}
    with Replica(tmp_path / "data", **settings).trusted(authority.context()).start() as replica:
        assert replica.poll_http("shop")
        most = resource.prlimit(replica.pid, resource.RLIMIT_NOFILE)
        few = len(list(Path(f"/proc/{replica.pid}/fd").iterdir())) + 10
        resource.prlimit(replica.pid, resource.RLIMIT_NOFILE, (few, most[1]))
        host, port = replica.http_url.split("//")[1].split(":")
        connections = [socket.create_connection((host, int(port))) for _ in range(30)]
        told = replica.wait_for_event(lambda event: "Too many open files" in event.get("reason", ""))
        assert told["level"] in ("WARN", "ERROR")

        for connection in connections:
            connection.close()
        resource.prlimit(replica.pid, resource.RLIMIT_NOFILE, most)

        def is_answered() -> bool:
            try:
                return bool(replica.poll_http("shop"))
            except httpx.HTTPError:
                return False

        await eventually(is_answered)
        assert replica.stop() == 0

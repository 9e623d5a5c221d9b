"""A replica whose stores are reached by verified TLS, and what it says when they cannot be."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import trustme

from tests.e2e.replica import Replica
from tests.services.certificates import expired, written
from tests.services.postgres_tls import TlsPostgresServer
from tests.services.tls_front import TlsFront
from tests.services.valkey import ValkeyServer
from tests.waiting import eventually


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[TlsPostgresServer]:
    with TlsPostgresServer(authority, authority.issue_cert("localhost")) as server:
        yield server


def problem(replica: Replica, component: str) -> str:
    return str(replica.health()["components"][component]["details"].get("problem", ""))


async def test_servers_that_are_not_trusted_any_more_are_named_while_polls_go_on(
    server: TlsPostgresServer, authority: trustme.CA, valkey: ValkeyServer, tmp_path: Path
) -> None:
    ca = written(authority.cert_pem, tmp_path / "ca.pem")
    valkey.flush()
    front = TlsFront(valkey.port, authority.issue_cert("localhost"))
    async with front.running() as port:
        settings = {
            "TRACING_CONFIG_DATABASE_URL": f"{tls_url(server)}?sslmode=verify-full&sslrootcert={ca}",
            "TRACING_CONFIG_REDIS_URL": f"rediss://localhost:{port}/0?ssl_ca_certs={ca}",
        }
        replica = Replica(tmp_path / "data", **settings)
        try:
            await asyncio.to_thread(replica.start)
            await eventually(lambda: not problem(replica, "redis"))
            response = await asyncio.to_thread(replica.put_rate, "checkout", 0.5)
            assert response.status_code == 200

            server.use(trustme.CA().issue_cert("localhost"))
            front.use(expired(authority, "localhost"))
            await asyncio.to_thread(replica.poll_http, "checkout")
            await end_sessions(server)
            await eventually(lambda: "sslrootcert in the address must name the file" in problem(replica, "db"))
            await eventually(lambda: "certificate has expired; give the server a new certificate" in problem(replica, "redis"))
            response = await asyncio.to_thread(replica.put_rate, "checkout", 0.25)
            assert response.status_code == 503
            answer = await asyncio.to_thread(replica.poll_http, "checkout")
            assert answer["probabilisticSampling"]["samplingRate"] == 0.5

            server.use(authority.issue_cert("localhost"))
            front.use(authority.issue_cert("localhost"))
            await eventually(lambda: replica.put_rate("checkout", 0.25).status_code == 200)
            await eventually(lambda: not problem(replica, "redis"))
            await asyncio.to_thread(replica.stop)
            replica.wait_for_event(lambda event: event["message"] == "stopped")
            refusals = [event for event in replica.events if "the server's certificate is refused" in str(event)]
            assert {event["level"] for event in refusals} == {"ERROR", "WARN"}
            # One of the database, one of Redis, one of the copy that cannot be kept there.
            assert len(refusals) <= 3
            assert "hunter2" not in str(replica.events)
        finally:
            await asyncio.to_thread(replica.kill)


def tls_url(server: TlsPostgresServer) -> str:
    return server.url().replace("postgres@127.0.0.1", "postgres:hunter2@localhost")


async def end_sessions(server: TlsPostgresServer) -> None:
    """Those that began before the server shows its new certificate, too."""
    connection = await asyncpg.connect(server.url())
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tracing-config'"
        )
    finally:
        await connection.close()

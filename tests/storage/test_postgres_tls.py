"""PostgreSQL by TLS: whom the store trusts, and what it says where it does not."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from storage.errors import StoreUnavailable, StoreUnusable
from storage.postgres import PostgresStore
from tests.contract.writes import commit, service
from tests.services.certificates import expired, written
from tests.services.postgres import PostgresServer
from tests.services.postgres_tls import TlsPostgresServer


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certificate(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("localhost")


@pytest.fixture(scope="module")
def module_server(authority: trustme.CA, certificate: trustme.LeafCert) -> Iterator[TlsPostgresServer]:
    with TlsPostgresServer(authority, certificate) as server:
        server.admit("hostssl all all 127.0.0.1/32 trust")
        yield server


@pytest.fixture
def server(module_server: TlsPostgresServer, certificate: trustme.LeafCert) -> Iterator[TlsPostgresServer]:
    """It shows a certificate for the name localhost; who does not speak TLS is refused."""
    yield module_server
    module_server.use(certificate)
    module_server.admit("hostssl all all 127.0.0.1/32 trust")


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> Path:
    return written(authority.cert_pem, tmp_path / "ca.pem")


def address(server: PostgresServer, host: str = "localhost", **parameters: object) -> str:
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return f"postgresql://postgres:hunter2@{host}:{server.port}/postgres?{query}"


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(url)
    try:
        await store.open()
        yield store
    finally:
        await store.close()


async def refused(url: str, error: type[Exception] = StoreUnusable) -> str:
    """What the store says of a server that it does not take."""
    with pytest.raises(error) as raised:
        async with opened(url):
            pass
    assert "hunter2" not in str(raised.value)
    return str(raised.value)


async def soon(check: Callable[[], Awaitable[str]], wanted: str) -> None:
    """The server takes a new file when it comes to it."""
    said = ""
    for _ in range(200):
        try:
            said = await check()
        except pytest.fail.Exception:
            continue
        if wanted in said:
            return
    raise AssertionError(said)


async def test_a_server_of_the_named_authority_and_of_the_right_name_is_taken(server: TlsPostgresServer, ca: Path) -> None:
    async with opened(address(server, sslmode="verify-full", sslrootcert=ca)) as store:
        await commit(store, service("written"))
        assert (await store.head()).point.revision > 0


async def test_a_server_of_another_authority_is_refused(server: TlsPostgresServer, tmp_path: Path) -> None:
    other = written(trustme.CA().cert_pem, tmp_path / "other.pem")
    for mode in ("verify-full", "verify-ca", "require"):
        said = await refused(address(server, sslmode=mode, sslrootcert=other))
        assert "sslrootcert in the address must name the file of the authority" in said


async def test_a_server_of_another_name_is_refused_only_by_verify_full(server: TlsPostgresServer, ca: Path) -> None:
    said = await refused(address(server, "127.0.0.1", sslmode="verify-full", sslrootcert=ca))
    assert "not valid for '127.0.0.1'; name the host in the address as its certificate does" in said
    async with opened(address(server, "127.0.0.1", sslmode="verify-ca", sslrootcert=ca)):
        pass


async def test_an_expired_certificate_is_refused(server: TlsPostgresServer, authority: trustme.CA, ca: Path) -> None:
    url = address(server, sslmode="verify-full", sslrootcert=ca)
    server.use(expired(authority, "localhost"))
    await soon(lambda: refused(url), "certificate has expired; give the server a new certificate")


async def test_modes_that_do_not_verify_only_encrypt(server: TlsPostgresServer) -> None:
    for parameters in ({"sslmode": "require"}, {"sslmode": "prefer"}, {}):
        async with opened(address(server, "127.0.0.1", **parameters)):
            pass
    assert "no encryption" in await refused(address(server, sslmode="disable"))


async def test_a_client_certificate_is_shown(
    server: TlsPostgresServer, authority: trustme.CA, ca: Path, tmp_path: Path
) -> None:
    own = authority.issue_cert(common_name="postgres")
    certificate = written(own.cert_chain_pems[0], tmp_path / "own.crt")
    key = written(own.private_key_pem, tmp_path / "own.key")
    server.admit("hostssl all all 127.0.0.1/32 trust clientcert=verify-full")
    await soon(lambda: refused(address(server, sslmode="verify-full", sslrootcert=ca)), "requires a valid client certificate")
    async with opened(address(server, sslmode="verify-full", sslrootcert=ca, sslcert=certificate, sslkey=key)):
        pass


async def test_a_server_without_tls_is_not_spoken_to_in_the_clear(postgres: PostgresServer, ca: Path) -> None:
    said = await refused(address(postgres, sslmode="verify-full", sslrootcert=ca), StoreUnavailable)
    assert "turn on TLS there" in said


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("sslmode=verify-full&sslrootcert={folder}/none.pem", "sslrootcert: cannot read {folder}/none.pem: No such file"),
        ("sslmode=verify-full&sslrootcert={folder}", "sslrootcert: cannot read {folder}: Is a directory"),
        ("sslmode=verify-full&sslrootcert={folder}/junk.pem", "sslrootcert: {folder}/junk.pem holds no certificate"),
        ("sslmode=verify-full", "sslmode=verify-full needs sslrootcert="),
        ("sslmode=verify-ful", "sslmode: 'verify-ful' is not one of disable"),
        ("sslrootcert={folder}/ca.pem", "sslrootcert verifies nothing without a mode that does: add sslmode=verify-full"),
        ("sslmode=require&sslcert={folder}/none.crt", "sslcert: cannot read {folder}/none.crt"),
        ("sslmode=require&sslcert={folder}/ca.pem&sslkey={folder}/other.key", "are no certificate with its key"),
    ],
)
def test_what_cannot_be_used_is_named_before_anything_is_opened(
    tmp_path: Path, ca: Path, authority: trustme.CA, parameters: str, said: str
) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    written(authority.issue_cert("other").private_key_pem, tmp_path / "other.key")
    with pytest.raises(ValueError, match="ssl") as raised:
        PostgresStore(f"postgresql://postgres:hunter2@localhost/postgres?{parameters.format(folder=tmp_path)}")
    assert said.format(folder=tmp_path) in str(raised.value)
    assert "hunter2" not in str(raised.value)


async def test_a_file_that_goes_away_while_the_store_is_open_is_named(server: TlsPostgresServer, ca: Path) -> None:
    store = PostgresStore(address(server, sslmode="verify-full", sslrootcert=ca))
    ca.unlink()
    with pytest.raises(StoreUnusable, match=f"sslrootcert: cannot read {ca}"):
        await store.open()

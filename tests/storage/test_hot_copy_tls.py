"""Redis by TLS: whom the hot copy trusts, and what it says where it does not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from storage.errors import StoreUnavailable
from storage.hot_copy import HotCopy
from tests.services.certificates import expired, written
from tests.services.tls_front import TlsFront
from tests.services.valkey import ValkeyServer
from tests.storage.copies_contract import copy_of


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> Path:
    return written(authority.cert_pem, tmp_path / "ca.pem")


class Front(TlsFront):
    port = 0

    def address(self, host: str = "localhost", **parameters: object) -> str:
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"rediss://:hunter2@{host}:{self.port}/0?{query}"


@pytest.fixture
async def front(valkey: ValkeyServer, authority: trustme.CA) -> AsyncIterator[Front]:
    """It shows a certificate for the name localhost."""
    valkey.flush()
    front = Front(valkey.port, authority.issue_cert("localhost"))
    async with front.running() as front.port:
        yield front


@asynccontextmanager
async def hot_copy(url: str) -> AsyncIterator[HotCopy]:
    copy = HotCopy(url.replace(":hunter2@", ""))
    yield copy
    await copy.close()


async def refused(url: str) -> str:
    async with hot_copy(url) as copy:
        with pytest.raises(StoreUnavailable) as raised:
            await copy.version()
    return str(raised.value)


async def test_a_copy_comes_back_through_a_verified_connection(front: Front, ca: Path) -> None:
    async with hot_copy(front.address(ssl_ca_certs=ca)) as copy:
        assert await copy.write(copy_of())
        assert await copy.read() == copy_of()


async def test_certificates_are_verified_unasked(front: Front, authority: trustme.CA, ca: Path, tmp_path: Path) -> None:
    other = written(trustme.CA().cert_pem, tmp_path / "other.pem")
    for url in (front.address(), front.address(ssl_ca_certs=other)):
        assert "ssl_ca_certs in the address must name the file of the authority" in await refused(url)
    said = await refused(front.address("127.0.0.1", ssl_ca_certs=ca))
    assert "not valid for '127.0.0.1'; name the host in the address as its certificate does" in said
    front.use(expired(authority, "localhost"))
    assert "certificate has expired; give the server a new certificate" in await refused(front.address(ssl_ca_certs=ca))


async def test_a_server_that_is_refused_is_taken_once_its_certificate_is_right(
    front: Front, authority: trustme.CA, ca: Path
) -> None:
    async with hot_copy(front.address(ssl_ca_certs=ca)) as copy:
        await copy.version()
        front.use(expired(authority, "localhost"))
        with pytest.raises(StoreUnavailable):
            await copy.version()
        with pytest.raises(StoreUnavailable, match="has expired"):
            await copy.version()
        front.use(authority.issue_cert("localhost"))
        await copy.version()


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("ssl_ca_certs={folder}/none.pem", "ssl_ca_certs: cannot read {folder}/none.pem: No such file"),
        ("ssl_ca_certs={folder}/junk.pem", "ssl_ca_certs: {folder}/junk.pem holds no certificate"),
        ("ssl_certfile={folder}/none.pem", "ssl_certfile: cannot read {folder}/none.pem"),
        ("ssl_certfile={folder}/ca.pem", "are no certificate with its key"),
        ("ssl_ca_file={folder}/ca.pem", "rediss://...?ssl_ca_certs=<file>"),
        ("ssl_cert_reqs=maybe", "parameters that its client does not know"),
    ],
)
def test_what_cannot_be_used_is_named_before_anything_is_opened(tmp_path: Path, ca: Path, parameters: str, said: str) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    with pytest.raises(ValueError, match=r"ssl|client") as raised:
        HotCopy(f"rediss://:hunter2@localhost/0?{parameters.format(folder=tmp_path)}")
    assert said.format(folder=tmp_path) in str(raised.value)
    assert "hunter2" not in str(raised.value)

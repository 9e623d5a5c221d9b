"""Certificates as an authority would issue them, in the files that settings name."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import trustme
from cryptography import x509

SERVER_NAMES = ("tracing-config.example.org", "127.0.0.1")


class Authority:
    """Signs certificates of servers and clients; one of its own for each."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "ca.crt"
        self._ca.cert_pem.write_to_path(self.file)

    @property
    def pem(self) -> bytes:
        return self._ca.cert_pem.bytes()

    def server(self, folder: Path) -> "Issued":
        """A certificate for this machine, as ``tls.crt`` and ``tls.key`` in the folder."""
        return Issued(self._ca.issue_cert(*SERVER_NAMES), folder)

    def client(self, name: str, *, days: float = 1) -> "Issued":
        """A client's certificate, which ends in so many days."""
        ends = datetime.now(UTC) + timedelta(days=days)
        return Issued(self._ca.issue_cert(name, not_after=ends), self.folder / name)

    def context(self, client: "Issued | None" = None) -> ssl.SSLContext:
        """What a client needs that trusts this authority."""
        context = ssl.create_default_context()
        self._ca.configure_trust(context)
        if client is not None:
            context.load_cert_chain(client.cert, client.key)
        return context

    def channel_credentials(self, client: "Issued | None" = None) -> grpc.ChannelCredentials:
        """The same for gRPC."""
        if client is None:
            return grpc.ssl_channel_credentials(self.pem)
        return grpc.ssl_channel_credentials(self.pem, client.key.read_bytes(), client.cert.read_bytes())


class Issued:
    """A certificate and its key in two PEM files."""

    def __init__(self, leaf: trustme.LeafCert, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.cert, self.key = folder / "tls.crt", folder / "tls.key"
        # A new name first: whoever reads meanwhile sees the old or the new file, whole.
        for path, content in ((self.cert, leaf.cert_chain_pems[0].bytes()), (self.key, leaf.private_key_pem.bytes())):
            fresh = path.with_suffix(".fresh")
            fresh.write_bytes(content)
            fresh.rename(path)
        self.serial = x509.load_pem_x509_certificate(self.cert.read_bytes()).serial_number


class MountedSecret:
    """A folder as Kubernetes mounts a Secret: its files are links through a link that is swapped in one step."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.cert, self.key = folder / "tls.crt", folder / "tls.key"
        self._number = 0

    def hold(self, authority: Authority) -> Issued:
        """Put a new certificate in its place."""
        self._number += 1
        issued = authority.server(self.folder / f"..{self._number}")
        fresh = self.folder / "..data_tmp"
        fresh.symlink_to(f"..{self._number}")
        fresh.replace(self.folder / "..data")
        for link in (self.cert, self.key):
            if not link.is_symlink():
                link.symlink_to(Path("..data") / link.name)
        return issued


def shown_serial(address: str) -> int:
    """The serial number of the certificate that a new handshake shows."""
    host, port = address.rsplit(":", 1)
    return x509.load_pem_x509_certificate(ssl.get_server_certificate((host, int(port))).encode()).serial_number

"""The certificate that a kind of port shows, and whose it asks for: read at the start, and again whenever a file changes."""

import asyncio
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from server.setting_reader import SettingError
from server.settings import PREFIX, Settings
from server.tls_files import CertificateError, Leaf, TlsContent, TlsFiles, read_parts, read_tls_files

LOOK_SECONDS = 1.0
"""Between two looks at the files."""

POLLS, SIDECAR = "polls", "sidecar"
"""What certificates are used for, in health, metrics and the log."""

_log = structlog.get_logger(__name__)


def load_certificates(settings: Settings) -> dict[str, "Certificate"]:
    """Those that the settings name, by their use. It blocks.

    Raises:
        SettingError: one of them cannot be used.
    """
    found = {}
    for use, kind, protocols in ((POLLS, "poll", ("h2", "http/1.1")), (SIDECAR, "sidecar", ("http/1.1",))):
        cert, key, client_ca, names = (
            getattr(settings, f"{kind}_tls_{part}") for part in ("cert", "key", "client_ca", "client_names")
        )
        if cert is not None:
            files = TlsFiles(f"{PREFIX}{kind.upper()}_TLS", cert, key, client_ca, names)
            found[use] = Certificate(use, files, protocols)
            try:
                found[use].load()
            except CertificateError as error:
                raise SettingError(str(error)) from None
    return found


class Certificate:
    """The last good content of the files, as a context for new handshakes. Connections keep the one they began with."""

    def __init__(self, use: str, files: TlsFiles, protocols: Sequence[str]) -> None:
        """``protocols`` are spoken behind the handshake, by their ALPN names, the best first."""
        self.use = use
        """What it is for: ``polls`` or ``sidecar``."""
        self.files = files
        self._protocols = protocols
        self.problem: str | None = None
        """Why the files as they are now are not what is shown."""
        self._suspected: str | None = None
        self._content: TlsContent

    def load(self) -> None:
        """Read the files for the first time. It blocks.

        Raises:
            CertificateError: they cannot be used.
        """
        self._content = read_tls_files(self.files, self._protocols)
        if self.expired:
            _log.error("the certificate has expired; clients will refuse it", **self.report())

    @property
    def context(self) -> ssl.SSLContext:
        """For a handshake that begins now."""
        return self._content.context

    @property
    def leaf(self) -> Leaf:
        return self._content.leaf

    @property
    def expired(self) -> bool:
        return self.leaf.not_after <= datetime.now(UTC)

    def report(self) -> dict[str, Any]:
        """For health and the log."""
        return {
            "file": str(self.files.cert),
            "serial": self.leaf.serial,
            "names": list(self.leaf.names)[:10],
            "notAfter": self.leaf.not_after.isoformat().replace("+00:00", "Z"),
            "expired": self.expired,
            "clientCertificates": "required" if self.files.client_ca else "not asked for",
            **({} if self.problem is None else {"problem": self.problem}),
        }

    async def run(self) -> None:
        """Look at the files again and again, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.reload)

    def reload(self) -> None:
        """Show what the files hold now, if that is another certificate that can be used. It blocks."""
        try:
            if read_parts(self.files) == self._content.parts:
                self._solved()
                return
            content = read_tls_files(self.files, self._protocols)
            if content.leaf.not_after <= datetime.now(UTC) and not self.expired:
                raise CertificateError(f"{self.files.setting}_CERT: {self.files.cert} has expired; the one in use has not")
        except CertificateError as error:
            # Certificate and key are two files: between their replacements they do not match.
            if self._suspected == str(error) != self.problem:
                self.problem = str(error)
                _log.error("the certificate cannot be replaced; the last good one stays", use=self.use, reason=self.problem)
            self._suspected = str(error)
            return
        self._content = content
        self._solved()
        _log.info("the certificate was replaced", use=self.use, **self.report())

    def _solved(self) -> None:
        self.problem = self._suspected = None

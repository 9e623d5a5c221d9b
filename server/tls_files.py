"""The PEM files behind a port with TLS, and what handshakes are made with from them."""

import ssl
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from sampling.pattern import Pattern
from storage.regular_file import open_regular

MAX_FILE_BYTES = 1024 * 1024


class TlsFiles(msgspec.Struct, frozen=True):
    """What the settings say of one kind of port."""

    setting: str
    """What the names of its settings begin with: ``TRACING_CONFIG_POLL_TLS``."""

    cert: Path
    """PEM: the certificate, then those between it and its authority."""

    key: Path
    client_ca: Path | None = None
    """Of the authorities whose clients are let in; None: nobody is asked for a certificate."""

    client_names: tuple[str, ...] = ()
    """Patterns of which a client's certificate must carry a name; none: any name of these authorities."""


class CertificateError(ValueError):
    """Is raised for files that no TLS server can be made of. The message names the setting and the cure."""


class Leaf(NamedTuple):
    """What is worth knowing of a certificate."""

    serial: str
    """Hexadecimal, as OpenSSL shows it."""

    names: Sequence[str]
    not_after: datetime


class TlsContent(NamedTuple):
    """The files as they were at one moment."""

    parts: tuple[bytes, ...]
    context: ssl.SSLContext
    leaf: Leaf


def read_tls_files(files: TlsFiles, protocols: Sequence[str]) -> TlsContent:
    """Read and check them. It blocks.

    Raises:
        CertificateError: they cannot be used.
    """
    parts = read_parts(files)
    context = _context(files)
    context.set_alpn_protocols(list(protocols))
    leaf = _leaf(files, parts[0])
    if read_parts(files) != parts:  # OpenSSL reads files by their names, a second time.
        raise CertificateError(f"{files.setting}_CERT: {files.cert} or its key is being replaced; it is read again")
    return TlsContent(parts, context, leaf)


def read_parts(files: TlsFiles) -> tuple[bytes, ...]:
    """Their bytes. Raises CertificateError."""
    named = [("CERT", files.cert), ("KEY", files.key)]
    if files.client_ca is not None:
        named.append(("CLIENT_CA", files.client_ca))
    content = []
    for name, path in named:
        try:
            with open_regular(path) as file:
                content.append(file.read(MAX_FILE_BYTES + 1))
        except OSError as error:
            cure = "let this user read it" if isinstance(error, PermissionError) else "name a PEM file"
            raise CertificateError(f"{files.setting}_{name}: cannot read {path}: {error.strerror}; {cure}") from None
        if len(content[-1]) > MAX_FILE_BYTES:
            raise CertificateError(f"{files.setting}_{name}: {path} has more than {MAX_FILE_BYTES} bytes; name a PEM file")
    return tuple(content)


def _context(files: TlsFiles) -> ssl.SSLContext:
    """What handshakes are made with: TLS 1.2 or later."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(files.cert, files.key, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            text = f"{files.setting}_KEY: {files.key} is not the key of the certificate in {files.cert}; name its own"
        else:
            text = (
                f"{files.setting}_CERT: {files.cert} and {files.key} are no PEM certificate and private key"
                f" that can be used ({_reason(error)}); make them anew"
            )
        raise CertificateError(text) from None
    except (OSError, ValueError) as error:
        raise CertificateError(f"{files.setting}_KEY: {files.key}: {error}") from None
    if files.client_ca is not None:
        try:
            context.load_verify_locations(files.client_ca)
        except (ssl.SSLError, OSError) as error:
            text = f"{files.client_ca} holds no PEM certificates ({_reason(error)}); name those of the authority"
            raise CertificateError(f"{files.setting}_CLIENT_CA: {text}") from None
        context.verify_mode = ssl.CERT_REQUIRED
        # A resumed session skips the look at the client's certificate. TLS 1.2 has sessions without tickets too, of which
        # OpenSSL lets us forbid none: `_checking` looks again.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
        context.sslobject_class = _checking(files)
    return context


def _no_password() -> str:
    raise ValueError("is encrypted; give a key without a password, in a file that only this user can read")


def _reason(error: OSError) -> str:
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else "nothing in it"


def _checking(files: TlsFiles) -> type[ssl.SSLObject]:
    patterns = tuple(Pattern(name) for name in files.client_names)

    class Checking(ssl.SSLObject):
        """Refuses a client in the handshake for its names too, and for the end of its certificate in a resumed session."""

        def do_handshake(self) -> None:
            super().do_handshake()
            certificate = self.getpeercert() or {}
            if self.session_reused and ssl.cert_time_to_seconds(str(certificate["notAfter"])) <= time.time():
                raise ssl.SSLCertVerificationError("the client's certificate has expired")
            if patterns:
                names = client_names(certificate)
                if not any(pattern.matches(name) for pattern in patterns for name in names):
                    raise ssl.SSLCertVerificationError(
                        f"the client's certificate is for {', '.join(names) or 'nobody'},"
                        f" which is not in {files.setting}_CLIENT_NAMES"
                    )

    return Checking


def client_names(certificate: Mapping[str, Any]) -> Sequence[str]:
    """The names that a certificate is for, as ``ssl`` tells of it: its alternative names, else its common name."""
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind in ("DNS", "URI", "email", "IP Address")]
    if names:
        return names
    return [value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"]


def _leaf(files: TlsFiles, content: bytes) -> Leaf:
    from cryptography import x509  # noqa: PLC0415 - 8 MB that only those with TLS pay

    try:
        leaf = x509.load_pem_x509_certificates(content)[0]
        try:
            alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            names = [str(name.value) for name in alternative]
        except x509.ExtensionNotFound:
            names = [str(name.value) for name in leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
        return Leaf(f"{leaf.serial_number:X}", names, leaf.not_valid_after_utc)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise CertificateError(f"{files.setting}_CERT: {files.cert} is no certificate that can be read: {error}") from None

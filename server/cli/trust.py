"""Whose certificates the command line trusts over TLS, and which it shows."""

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from server.cli.failures import WrongUsage

if TYPE_CHECKING:
    import grpc

CERT, KEY = "TRACING_CONFIG_CLIENT_CERT", "TRACING_CONFIG_CLIENT_KEY"
"""Variables with the PEM files of a client's certificate, for servers that ask for one."""


def verification(url: str) -> ssl.SSLContext:
    """How certificates are verified: by the system's authorities, or those that ``SSL_CERT_FILE`` names.

    They are not read where nothing is encrypted, which would take longer than the request.

    Raises:
        WrongUsage: the client's certificate cannot be used.
    """
    if not url.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.create_default_context()
    show_certificate(context)
    return context


def show_certificate(context: ssl.SSLContext) -> None:
    """Show the client's certificate, where the variables name one. Raises WrongUsage."""
    shown = _shown()
    if shown is None:
        return
    try:
        context.load_cert_chain(*shown)
    except OSError as error:
        raise WrongUsage(f"{CERT}, {KEY}: {error.strerror or error}; name the PEM files of a certificate and its key") from None


def channel_credentials() -> "grpc.ChannelCredentials":
    """The same for gRPC. Raises WrongUsage."""
    import grpc  # noqa: PLC0415 - a third of a second for those who ask over HTTP

    context = verification("https:")
    authorities = "".join(ssl.DER_cert_to_PEM_cert(der) for der in context.get_ca_certs(binary_form=True)).encode()
    cert, key = (path.read_bytes() for path in shown) if (shown := _shown()) else (None, None)
    return grpc.ssl_channel_credentials(authorities or None, key, cert)


def _shown() -> tuple[Path, Path] | None:
    cert, key = os.environ.get(CERT), os.environ.get(KEY)
    if not cert and not key:
        return None
    if not cert or not key:
        raise WrongUsage(f"{CERT if key else KEY}: is not set beside {KEY if key else CERT}; set both, or none")
    return Path(cert), Path(key)

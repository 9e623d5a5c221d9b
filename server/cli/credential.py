"""The token that a server gets from the command line, and from where it has it."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from server.cli.failures import Failed

LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Credential(NamedTuple):
    """A token, empty where there is none."""

    token: str
    origin: str
    """What a person whom the server refuses should know."""


def is_loopback(url: str) -> bool:
    """Whether a URL is of this machine: no proxy that the environment names is asked then."""
    return urlsplit(url).hostname in LOOPBACK


def credential_for(url: str, environment: Mapping[str, str]) -> Credential:
    """The token for a server.

    Only the server that is there without any setting gets what lies in the data folder: another port of this machine may be
    the end of a tunnel.

    Raises:
        Failed: ``TRACING_CONFIG_TOKEN_FILE`` names a file that cannot be read, or the token can be none.
    """
    if token := environment.get("TRACING_CONFIG_TOKEN", "").strip():
        return _credential(token, "TRACING_CONFIG_TOKEN", "set it to one that this server knows")
    if file := environment.get("TRACING_CONFIG_TOKEN_FILE", "").strip():
        try:
            token = Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Failed(f"TRACING_CONFIG_TOKEN_FILE: {_unreadable(file, error)}") from None
        return _credential(token, f"{file} (TRACING_CONFIG_TOKEN_FILE)", "name one with a token that this server knows")
    none = "set TRACING_CONFIG_TOKEN, or TRACING_CONFIG_TOKEN_FILE to a file that holds a token"
    parts = urlsplit(url)
    if (parts.scheme, parts.port) != ("http", 8093) or not is_loopback(url):
        return Credential("", none)
    path = Path(environment.get("TRACING_CONFIG_DATA_DIR", "").strip() or "var") / "admin-token"
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        return Credential("", f"{none} ({_unreadable(path, error)})")
    return _credential(token, str(path), f"for another one {none}")


def _credential(token: str, source: str, cure: str) -> Credential:
    """Refused here, because a header that cannot be sent is quoted in the error."""
    if not token or any(not "!" <= character <= "~" for character in token):
        raise Failed(f"the token from {source} is empty or has characters that no token has; {cure}")
    return Credential(token, f"the token is from {source}; {cure}")


def _unreadable(path: str | Path, error: OSError | UnicodeDecodeError) -> str:
    return f"{path} cannot be read: {error.strerror if isinstance(error, OSError) else 'it is no text'}"

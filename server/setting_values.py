"""What the text of each setting may be. Every function here raises ValueError, with the cure and never with a secret."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from storage.regular_file import open_regular

MIN_JWT_SECRET_BYTES = 32
"""As many as the output of the hash of HS256: what RFC 7518 asks for."""

MAX_JWT_SECRETS = 10
"""A rotation needs two; each one more is one more signature to compute for a token that is not known."""

MAX_SECRET_FILE_BYTES = 64 * 1024

MAX_CLAIM_CHARACTERS = 1024

MAX_URL_CHARACTERS = 2048

MAX_PREFIXES = 20


def port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ValueError(f"{text!r} is not a port; give a number from 1 to 65535, or 0 for a free one")
    return int(text)


def ports(text: str) -> tuple[int, ...]:
    return tuple(port(part.strip()) for part in text.split(","))


def number_of(what: str, least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 20 or not least <= int(text) <= most:
            raise ValueError(f"{text!r} is not a number of {what} from {least} to {most}")
        return int(text)

    return parse


def patterns(text: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(","))
    if not all(found):
        raise ValueError(f"{text!r} has an empty name; give names like collector.example.org or *.example.org, between commas")
    return found


def seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 3600:
        raise ValueError(f"{text!r} is not a number of seconds from 0 to 3600")
    return number


def database_url(text: str) -> str:
    if _scheme(text) not in ("postgresql", "postgres"):
        raise ValueError("must start with postgresql://; leave it out for SQLite in the data folder")
    return text


def redis_url(text: str) -> str:
    if _scheme(text) not in ("redis", "rediss"):
        raise ValueError("must start with redis:// or rediss://")
    return text


def http_url(text: str) -> str:
    """Check where an HTTP server is, perhaps with user and password. Raises ValueError, without any of it."""
    if _scheme(text) not in ("http", "https"):
        raise ValueError("must start with http:// or https://")
    parts = urlsplit(text)
    try:
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be like http://host:9200, with a host, a port up to 65535, and nothing after ? or #")
    if len(text) > MAX_URL_CHARACTERS:
        raise ValueError(f"must have at most {MAX_URL_CHARACTERS} characters")
    return text


def public_url(text: str) -> str:
    """As ``http_url``, of what services are told: no secret can be part of it."""
    if "@" in text:
        raise ValueError("must hold no user and no password: services are told it as it is")
    return http_url(text).rstrip("/")


def poll_url(text: str) -> str:
    """As ``public_url``, and fit for the list of arguments in which SDKs are told it."""
    if "," in text or "=" in text:
        raise ValueError("must hold no comma and no `=`: services are told it in a list, and SDKs would cut it there")
    return public_url(text)


def target_url(path: str) -> Callable[[str], str]:
    """As ``public_url``, of a server that takes spans at ``path`` below it."""

    def parse(text: str) -> str:
        if (url := public_url(text)).endswith(path):
            raise ValueError(f"must not end in {path}, which is added to it; remove that")
        return url

    return parse


def host_name(text: str) -> str:
    if len(text) > 255 or not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+", text):
        raise ValueError(f"{text!r} is no host name and no address; give it without a port, like 10.0.0.7")
    return text


def header_token(text: str) -> str:
    if len(text) > MAX_CLAIM_CHARACTERS or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"must be at most {MAX_CLAIM_CHARACTERS} printable ASCII characters without spaces")
    return text


def index_prefixes(text: str) -> tuple[str, ...]:
    """What stands before the names of trace indices, each as it is given to Jaeger, or to Zipkin before ``zipkin``."""
    found = tuple(part.strip() for part in text.split(","))
    for prefix in found:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,99}", prefix):
            raise ValueError(f"{prefix!r} is no prefix of an index; give a-z, 0-9, `-`, `_` or `.`, between commas")
    if len(found) > MAX_PREFIXES or len(set(found)) < len(found):
        raise ValueError(f"must be at most {MAX_PREFIXES} prefixes, each once")
    return found


def _scheme(address: str) -> str:
    try:
        return urlsplit(address).scheme
    except ValueError:  # Its message may hold the password.
        raise ValueError("is no address; percent-encode what is special in the user and the password") from None


def admin_token(text: str) -> str:
    """Check the token of the role admin. Raises ValueError, without the token."""
    if len(text) < 16 or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be at least 16 printable ASCII characters without spaces; `openssl rand -hex 32` makes one")
    if len(text) > MAX_CLAIM_CHARACTERS:
        raise ValueError(f"must have at most {MAX_CLAIM_CHARACTERS} characters; `openssl rand -hex 32` makes one")
    return text


def jwt_secrets(text: str) -> tuple[str, ...]:
    """Split a list at its commas; each secret is used as its characters are. Raises ValueError, without any secret."""
    found = tuple(part.strip() for part in text.split(","))
    if len(found) > MAX_JWT_SECRETS:
        raise ValueError(f"has {len(found)} secrets; at most {MAX_JWT_SECRETS} are possible, remove the oldest")
    for number, secret in enumerate(found, 1):
        place = f"secret {number} of {len(found)}"
        if len(secret.encode(errors="replace")) < MIN_JWT_SECRET_BYTES:
            raise ValueError(f"{place} has fewer than {MIN_JWT_SECRET_BYTES} bytes; `openssl rand -hex 32` makes one")
        if not secret.isprintable() or " " in secret:
            raise ValueError(f"{place} has white space or a control character; put commas between secrets")
    if len(set(found)) < len(found):
        raise ValueError("has the same secret twice; remove one")
    return found


def claim(text: str) -> str:
    if len(text) > MAX_CLAIM_CHARACTERS or not text.isprintable():
        raise ValueError(f"must be at most {MAX_CLAIM_CHARACTERS} printable characters")
    return text


def log_level(text: str) -> str:
    """``WARN``, as the lines of the log have it, is taken for ``WARNING``, the name of the standard library."""
    level = one_of("DEBUG", "INFO", "WARN", "WARNING", "ERROR")(text.upper())
    return "WARNING" if level == "WARN" else level


def one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"{text!r} is not one of {', '.join(allowed)}")
        return text

    return parse


def read_secret_file(path: Path) -> str:
    """The content of a file that holds a secret, without the white space around it.

    Raises:
        ValueError: it cannot be read, is empty, or is larger than MAX_SECRET_FILE_BYTES; the secret is not part of the message.
    """
    try:
        with open_regular(path) as file:
            content = file.read(MAX_SECRET_FILE_BYTES + 1)
        text = content.decode().strip()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"cannot read {path}: it is not text") from None
    if len(content) > MAX_SECRET_FILE_BYTES:
        raise ValueError(f"{path} has more than {MAX_SECRET_FILE_BYTES} bytes; name the file of the secret")
    if not text:
        raise ValueError(f"{path} is empty; write the secret into it, or leave the variable out")
    return text

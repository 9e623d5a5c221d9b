"""The address of a PostgreSQL: what it may be, and what of it may be shown."""

import re
from urllib.parse import parse_qs, urlsplit

from storage.certificates import check_authority, check_pair

_HOSTS = re.compile(r"(\[[\w:.%]+\]|[\w.-]*)(:\d+)?(,(\[[\w:.%]+\]|[\w.-]*)(:\d+)?)*", re.ASCII)

_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_VERIFYING = ("require", "verify-ca", "verify-full")
"""With an authority's certificate ``require`` verifies too, as in every client of PostgreSQL."""


class Address:
    """``postgresql://user:password@host:port/database?sslmode=verify-full&sslrootcert=<file>``, also with several hosts.

    Raises:
        ValueError: this is none, or what it says of certificates cannot be used; the message does not hold the password.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.public = public_address(url)
        self.check_certificates()

    def check_certificates(self) -> None:
        """Check that the files which the address names can be used now. Raises ValueError."""
        query = {name: values[-1] for name, values in parse_qs(urlsplit(self.url).query).items()}
        mode, authority, certificate = query.get("sslmode"), query.get("sslrootcert"), query.get("sslcert")
        if mode is not None and mode not in _MODES:
            raise ValueError(f"sslmode: {mode!r} is not one of {', '.join(_MODES)}")
        if authority is None and mode in {"verify-ca", "verify-full"}:
            raise ValueError(f"sslmode={mode} needs sslrootcert=<file with the certificate of the server's authority>")
        if authority is not None and mode not in _VERIFYING:
            raise ValueError("sslrootcert verifies nothing without a mode that does: add sslmode=verify-full")
        if authority is not None:
            check_authority("sslrootcert", authority)
        if "sslcrl" in query:
            check_authority("sslcrl", query["sslcrl"])
        if certificate is not None:
            check_pair(("sslcert", "sslkey"), certificate, query.get("sslkey"), query.get("sslpassword", ""))


def public_address(url: str) -> str:
    """Hosts and database of an address, without user, password and options.

    Raises:
        ValueError: this is no address of a PostgreSQL; the message does not repeat it, since it may hold a password.
    """
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
    except ValueError:
        parts, query = urlsplit(""), {}
    hosts = query.get("host", [parts.netloc.rpartition("@")[2]])[-1]
    database = query.get("dbname", [parts.path.removeprefix("/")])[-1]
    local = hosts.startswith("/") and "host" in query
    ports = [int(port) for port in re.findall(r":(\d+)(?=,|$)", hosts)]
    reachable = local or (_HOSTS.fullmatch(hosts) and max(ports, default=0) < 2**16)
    well_formed = reachable and not parts.fragment and not re.search("[/@]", database)
    if parts.scheme not in {"postgresql", "postgres"} or not well_formed:
        raise ValueError(
            "must look like postgresql://user:password@host:5432/database, "
            "with special characters of the password percent-encoded"
        )
    return f"postgresql://{hosts}/{database}"

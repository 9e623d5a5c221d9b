"""Connections to PostgreSQL: their settings and time limits, and what its errors mean."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from asyncpg.pool import PoolConnectionProxy

from storage.errors import StoreError, StoreUnavailable, StoreUnusable

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
AnyConnection: TypeAlias = "Connection | PoolConnectionProxy[asyncpg.Record]"

DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, AttributeError)
"""All that a call of the driver may fail with; a time limit that has passed is an ``OSError``, and an ``AttributeError`` was
seen where the connection was closed between two steps of one call."""

CONNECT_SECONDS = 2.0

# Numbers are milliseconds. The compiler for long queries is off: it may take longer than any query here.
_SETTINGS = {"application_name": "tracing-config", "jit": "off", "lock_timeout": "1000"}

WRITE_SETTINGS = _SETTINGS | {
    "synchronous_commit": "on",
    "idle_in_transaction_session_timeout": "1500",
    "statement_timeout": "2000",
}
"""A session that commits: if we are gone, the counter row is free again within two seconds."""

READ_SETTINGS = _SETTINGS | {"idle_in_transaction_session_timeout": "10000"}
"""A session that only reads: it locks nothing, and whoever reads a full load may have to wait for polls in between."""

_HOSTS = re.compile(r"(\[[\w:.%]+\]|[\w.-]*)(:\d+)?(,(\[[\w:.%]+\]|[\w.-]*)(:\d+)?)*", re.ASCII)


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


async def connect(url: str, settings: dict[str, str], *, writable: bool, query_seconds: float) -> Connection:
    """A new connection; ``writable``: to a server that takes writes, else to any. Raises what the driver raises."""
    return await asyncpg.connect(
        url,
        timeout=CONNECT_SECONDS,
        command_timeout=query_seconds,
        server_settings=settings,
        target_session_attrs=SessionAttribute.read_write if writable else SessionAttribute.any,
    )


@contextmanager
def translated() -> Iterator[None]:
    """Raise the driver's exceptions as the store's."""
    try:
        yield
    except DRIVER_ERRORS as error:
        raise translation(error) from error


_CURES = {
    "28": "check the user and the password in the database's address, and pg_hba.conf",
    "3D000": "create the database, or correct its name in the address",
    "42501": "grant the database user what it needs: all on the tables and, for migrations, CREATE on the schema",
    "42P01": "a restore in progress looks so; if there is none, restore a backup, or begin anew: `tracing-config store accept`",
    "42P07": "a table of another program is in the way; give tracing-config a database of its own",
}

_TRANSIENT = ("08", "25006", "40", "53", "55P03", "57", "58")
"""Connection, read-only, serialization, resources, lock not available, operator intervention, system."""


def translation(error: Exception) -> StoreError:
    """What an exception of the driver means to whoever uses the store."""
    if isinstance(error, TimeoutError):
        return StoreUnavailable("PostgreSQL did not answer in time")
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return StoreUnavailable("PostgreSQL is a read-only standby; waiting for one that takes writes")
    if isinstance(error, asyncpg.ClientConfigurationError):
        return StoreUnusable(f"the database's address: {error}")
    if isinstance(error, AttributeError):
        return StoreUnavailable("PostgreSQL: the connection was closed in the middle of a call")
    code = getattr(error, "sqlstate", None)
    if code is None or code.startswith(_TRANSIENT):
        return StoreUnavailable(f"PostgreSQL: {error}")
    cure = _CURES.get(code) or _CURES.get(code[:2])
    return StoreUnusable(f"PostgreSQL: {error}" + (f"; {cure}" if cure else f" (SQLSTATE {code})"))

"""Connections to PostgreSQL: their settings and time limits, and what its errors mean."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from asyncpg.pool import PoolConnectionProxy

from storage.certificates import refusal
from storage.errors import StoreError, StoreUnavailable, StoreUnusable
from storage.postgres.address import Address

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
AnyConnection: TypeAlias = "Connection | PoolConnectionProxy[asyncpg.Record]"

DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, AttributeError)
"""All that a call of the driver may fail with; a time limit that has passed is an ``OSError``, and an ``AttributeError`` was
seen where the connection was closed between two steps of one call."""

CONNECT_SECONDS = 2.0

CLOSE_SECONDS = 1.0

# Settings hold for one transaction and not for a session: poolers refuse those that a session begins with, and hand its server
# on after each transaction. The compiler for long queries is off: it may take longer than any query here.
_LIMITS = "SET LOCAL jit = off; SET LOCAL lock_timeout = '1s'"

WRITE_LIMITS = (
    f"{_LIMITS}; SET LOCAL idle_in_transaction_session_timeout = '1500ms'; "
    "SET LOCAL statement_timeout = '2s'; SET LOCAL synchronous_commit = on"
)
"""A transaction that commits: if we are gone, the counter row is free again within two seconds."""

READ_LIMITS = f"{_LIMITS}; SET LOCAL idle_in_transaction_session_timeout = '10s'"
"""A transaction that only reads: it locks nothing, and whoever reads a full load may have to wait for polls in between."""


class Connector:
    """Makes connections to one database, by the address that is in use."""

    def __init__(self, url: str) -> None:
        """Raises ValueError, as ``Address`` does."""
        self.address = Address(url)
        self.is_pooled = True
        """Whether a pooler stands in between, which may give each transaction another session: nothing may be left in one.
        Taken to be so until a connection has shown otherwise."""

    def take_over(self, other: "Connector") -> None:
        """Make connections as the other one does from now on."""
        self.address, self.is_pooled = other.address, other.is_pooled

    async def connect(self, *, writable: bool, query_seconds: float | None, look: bool = False) -> Connection:
        """A new connection; ``writable``: to a server that takes writes, else to any.

        ``look``: find out whether there is a pooler. Raises what the driver raises, and StoreUnusable.
        """
        connection = await self._connect(writable=writable, query_seconds=query_seconds)
        if not look:
            return connection
        try:
            # A pooler has a number of its own to cancel queries by; a server's is that of its process.
            is_pooled = await connection.fetchval("SELECT pg_backend_pid()") != connection.get_server_pid()
        except BaseException:
            connection.terminate()
            raise
        if is_pooled == self.is_pooled:
            return connection
        self.is_pooled = is_pooled
        await connection.close(timeout=CLOSE_SECONDS)
        return await self._connect(writable=writable, query_seconds=query_seconds)

    async def _connect(self, *, writable: bool, query_seconds: float | None) -> Connection:
        try:
            return await asyncpg.connect(
                self.address.url,
                timeout=CONNECT_SECONDS,
                command_timeout=query_seconds,
                server_settings={"application_name": "tracing-config"},
                target_session_attrs=SessionAttribute.read_write if writable else SessionAttribute.any,
                statement_cache_size=0 if self.is_pooled else 100,
            )
        except (FileNotFoundError, PermissionError, ssl.SSLError):
            try:
                self.address.check_certificates()
            except ValueError as error:
                raise StoreUnusable(f"the database's address: {error}") from None
            raise


@contextmanager
def translated() -> Iterator[None]:
    """Raise the driver's exceptions as the store's."""
    try:
        yield
    except DRIVER_ERRORS as error:
        raise translation(error) from error


_CURES = {
    "28": "check the user and the password in the database's address, and pg_hba.conf",
    "28000": "check the user and, if the server asks for one, sslcert and sslkey in the database's address, and pg_hba.conf",
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
    if (refused := refusal(error, "sslrootcert")) is not None:
        return StoreUnusable(f"PostgreSQL: {refused}")
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return StoreUnavailable("PostgreSQL is a read-only standby; waiting for one that takes writes")
    if isinstance(error, asyncpg.ClientConfigurationError):
        return StoreUnusable(f"the database's address: {error}")
    if isinstance(error, AttributeError):
        return StoreUnavailable("PostgreSQL: the connection was closed in the middle of a call")
    if isinstance(error, ConnectionError) and "rejected SSL" in str(error):
        return StoreUnavailable(f"{error}; turn on TLS there (`ssl = on`), or change sslmode in the address")
    code = getattr(error, "sqlstate", None)
    if code is None or code.startswith(_TRANSIENT):
        return StoreUnavailable(f"PostgreSQL: {error}")
    cure = _CURES.get(code) or _CURES.get(code[:2])
    return StoreUnusable(f"PostgreSQL: {error}" + (f"; {cure}" if cure else f" (SQLSTATE {code})"))

"""Being the only one among all who use a database."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from storage.interface import ALONE_SECONDS
from storage.postgres.connection import CLOSE_SECONDS, DRIVER_ERRORS, READ_LIMITS, Connector, translated
from storage.postgres.reader import HEAD_SECONDS

# The lock is of the transaction, because behind a pooler a session is somebody else's next.
_BEGIN = f"BEGIN; {READ_LIMITS}"
_TRY = "SELECT pg_try_advisory_xact_lock($1)"


@asynccontextmanager
async def alone(connector: Connector, name: str) -> AsyncIterator[bool]:
    """As ``Store.alone``, by a connection of its own. Raises StoreUnavailable and StoreUnusable."""
    async with _locked(connector, _number(name)) as is_alone:
        if is_alone:
            yield True
            return
    yield False  # Without a connection: whoever is not alone holds nothing.


@asynccontextmanager
async def _locked(connector: Connector, number: int) -> AsyncIterator[bool]:
    """Whether the lock was free; if so it is held until the end. Raises as ``alone``."""
    with translated():
        connection = await connector.connect(writable=True, query_seconds=HEAD_SECONDS)
    try:
        with translated():
            await connection.execute(_BEGIN)
            is_alone: bool = await connection.fetchval(_TRY, number)
            # It comes last: it also ends the snapshot that the answer was read by, for which VACUUM would wait.
            limit = f"{1000 * ALONE_SECONDS:.0f}ms"
            await connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{limit}'")
        yield is_alone
    finally:
        # Closing it ends the transaction.
        with suppress(*DRIVER_ERRORS):
            await connection.close(timeout=CLOSE_SECONDS)


def _number(name: str) -> int:
    """The lock of a name, among the 2^64 numbers of advisory locks."""
    return int.from_bytes(hashlib.sha256(f"tracing-config {name}".encode()).digest()[:8], signed=True)

"""A look at a PostgreSQL database."""

import asyncio
from contextlib import suppress

import asyncpg

from storage.condition import Condition, read_schema
from storage.postgres.connection import CLOSE_SECONDS, DRIVER_ERRORS, READ_LIMITS, Connection, Connector, translated
from storage.postgres.migrate import applied, check_server
from storage.postgres.reader import HEAD_SECONDS, read_head

SECONDS = 5.0
"""For all of it: two connections may be needed, to a server that takes writes and then to any."""

_MAY_WRITE = "SELECT has_table_privilege('store', 'UPDATE') AND has_table_privilege('revisions', 'INSERT')"


async def look(url: str) -> Condition:
    """See how the database is, also one on a standby. Changes nothing.

    Raises:
        ValueError: ``url`` is no address; see ``storage.postgres.address.Address``.
        StoreUnavailable, StoreUnusable: it does not answer in time, or this program cannot work on it.
    """
    connector = Connector(url)
    with translated():
        async with asyncio.timeout(SECONDS):
            connection = await _connected(connector)
            try:
                return await _condition(connection)
            finally:
                with suppress(*DRIVER_ERRORS):
                    await connection.close(timeout=CLOSE_SECONDS)


async def _connected(connector: Connector) -> Connection:
    try:
        return await connector.connect(writable=True, query_seconds=HEAD_SECONDS, look=True)
    except asyncpg.TargetServerAttributeNotMatched:
        return await connector.connect(writable=False, query_seconds=HEAD_SECONDS, look=True)


async def _condition(connection: Connection) -> Condition:
    check_server(connection)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(READ_LIMITS)
        known = await applied(connection)
        schema = read_schema("postgres", known)
        point = (await read_head(connection)).point if known else None
        may_write = await connection.fetchval(_MAY_WRITE) if known else True
    version = connection.get_server_version()
    read_only = None if may_write else "the user may not write to its tables"
    if await connection.fetchval("SELECT pg_is_in_recovery()"):
        read_only = "it is in recovery, a standby"
    elif await connection.fetchval("SELECT current_setting('transaction_read_only') = 'on'"):
        read_only = "its transactions are read-only"
    return Condition(version=f"{version.major}.{version.micro}", schema=schema, point=point, read_only=read_only)

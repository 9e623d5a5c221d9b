"""Brings a PostgreSQL database up to date."""

from collections.abc import Sequence

from storage.errors import StoreUnusable, WrongVersion
from storage.migrate import Applied, Migration, pending
from storage.postgres.connection import READ_LIMITS, Connection

SECONDS = 60.0
"""For waiting until another replica has migrated, and for each migration."""

OLDEST_SERVER = 13
"""The first PostgreSQL that makes random ids without an extension; all else that is asked of it is older."""

LOCK = 0x74726163696E67
"""The number of our advisory lock. Whoever holds it knows that nobody makes the schema meanwhile."""


async def migrate(connection: Connection, known: Sequence[Migration], *, create: bool = True) -> None:
    """Run the migrations that the database still needs, each in a transaction with its row in ``schema_migrations``.

    Raises what the driver raises, and:
        WrongVersion: the server is too old, or the database needs a newer program.
        StoreUnusable: the database is empty and may not be filled, or does not store Unicode.
    """
    check_server(connection)
    while pending(known, await applied(connection), create=create):
        async with connection.transaction(isolation="read_committed"):
            await connection.execute(f"{READ_LIMITS}; SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0")
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK, timeout=SECONDS)
            for migration in pending(known, await applied(connection), create=create)[:1]:
                await connection.execute(migration.sql, timeout=SECONDS)
                await connection.execute(
                    "INSERT INTO schema_migrations (number, name, checksum, oldest_program) VALUES ($1, $2, $3, $4)",
                    *(migration.number, migration.name, migration.checksum, migration.oldest_program),
                )


def check_server(connection: Connection) -> None:
    """Refuse a server that no migration can make fit.

    Raises:
        WrongVersion: it is too old.
        StoreUnusable: the database does not store Unicode.
    """
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        raise WrongVersion(
            f"the server is PostgreSQL {version.major}.{version.micro}: too old, it must be {OLDEST_SERVER} or newer"
        )
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise StoreUnusable(f"the database's encoding is {encoding}: create one with ENCODING 'UTF8'")


# Not to_regclass, which may answer from before the advisory lock.
_IS_MIGRATED = """
SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'schema_migrations' AND pg_table_is_visible(oid))
"""


async def applied(connection: Connection) -> Sequence[Applied]:
    """What was run on the database; nothing where there is no store. Raises what the driver raises."""
    if not await connection.fetchval(_IS_MIGRATED):
        return []
    rows = await connection.fetch("SELECT number, checksum, oldest_program FROM schema_migrations ORDER BY number")
    return [Applied(*row) for row in rows]

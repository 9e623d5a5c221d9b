"""The figures of a PostgreSQL store."""

from collections.abc import Mapping

from storage.figures import Figures, TableSize, check_is_current, created_by_month, first_month
from storage.interface import Head
from storage.postgres.connection import Connection
from storage.postgres.migrate import applied

_SIZES = """
SELECT relname::text, pg_relation_size(oid), pg_total_relation_size(oid)
FROM pg_class
WHERE relkind = 'r' AND pg_table_is_visible(oid) AND relname IN (
    'schema_migrations', 'store', 'revisions', 'changes', 'tracing_configurations', 'sampling_policies',
    'accepted_stores', 'backups'
)
"""

_CREATED = """
SELECT kind, extract(year FROM month)::integer, extract(month FROM month)::integer, number
FROM (
    SELECT 'service' AS kind, date_trunc('month', created_at AT TIME ZONE 'UTC') AS month, count(*) AS number
    FROM tracing_configurations WHERE created_at >= $1 GROUP BY month
    UNION ALL
    SELECT CASE policy_type WHEN 'boost' THEN 'boost' ELSE 'policy' END AS kind,
        date_trunc('month', created_at AT TIME ZONE 'UTC') AS month, count(*)
    FROM sampling_policies WHERE created_at >= $1 GROUP BY kind, month
) AS created
"""

_OTHERS = "SELECT pg_database_size(current_database()), (SELECT max(made_at) FROM backups)"


async def read_figures(connection: Connection, head: Head) -> Figures:
    """As ``Measured.figures``, within the transaction that saw this head.

    Raises what the driver raises, and SchemaOutdated.
    """
    check_is_current("postgres", await applied(connection))
    database_bytes, last_backup = await connection.fetchrow(_OTHERS) or (0, None)
    created = await connection.fetch(_CREATED, first_month(head))
    return Figures(
        database_bytes=database_bytes,
        tables=await _sizes(connection),
        created=created_by_month(head, [(kind, year, month, number) for kind, year, month, number in created]),
        revisions=head.point.revision + 1,
        last_backup=last_backup,
    )


async def _sizes(connection: Connection) -> Mapping[str, TableSize]:
    """A table that was dropped since the transaction began has none."""
    rows = await connection.fetch(_SIZES)
    return {name: TableSize(size, total) for name, size, total in rows if size is not None and total is not None}

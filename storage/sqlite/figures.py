"""The figures of a store in an SQLite file."""

from datetime import datetime

from storage.figures import Figures, check_is_current, created_by_month, first_month
from storage.interface import Head
from storage.sqlite.connection import Connection
from storage.sqlite.migrate import applied

_BYTES = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"

_CREATED = """
SELECT 'service' AS kind, substr(created_at, 1, 7) AS month, count(*)
FROM tracing_configurations WHERE created_at >= ?1 GROUP BY month
UNION ALL
SELECT CASE policy_type WHEN 'boost' THEN 'boost' ELSE 'policy' END AS kind, substr(created_at, 1, 7) AS month, count(*)
FROM sampling_policies WHERE created_at >= ?1 GROUP BY kind, month
"""


def read_figures(connection: Connection, head: Head) -> Figures:
    """As ``Measured.figures``, within the transaction that saw this head.

    Raises what the library raises, and SchemaOutdated.
    """
    sql = connection.sql
    check_is_current("sqlite", applied(sql))
    (database_bytes,) = sql.execute(_BYTES).fetchone()
    (last_backup,) = sql.execute("SELECT max(made_at) FROM backups").fetchone()
    rows = sql.execute(_CREATED, (f"{first_month(head):%Y-%m}",)).fetchall()
    return Figures(
        database_bytes=database_bytes,
        tables={},
        created=created_by_month(head, ((kind, int(month[:4]), int(month[5:]), number) for kind, month, number in rows)),
        revisions=head.point.revision + 1,
        last_backup=None if last_backup is None else datetime.fromisoformat(last_backup),
    )

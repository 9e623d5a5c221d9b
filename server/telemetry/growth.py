"""The store's figures as Prometheus sees them: the last ones that are known, also while the store is away."""

from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.figures import StoreFigures
from storage.figures import TableSize


class Growth(Collector):
    """Tells nothing before the store has told something."""

    def __init__(self, figures: StoreFigures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        figures = self._figures.current
        if figures is None:
            return
        yield GaugeMetricFamily(
            "tracing_config_last_backup_timestamp_seconds",
            "The moment that the newest backup holds, by the store's clock; 0 while none is known of.",
            value=0 if figures.last_backup is None else figures.last_backup.timestamp(),
        )
        yield GaugeMetricFamily(
            "tracing_config_database_bytes",
            "Size of the database, or of the SQLite file without its write-ahead log.",
            value=figures.database_bytes,
        )
        if figures.tables:
            yield from _table_sizes(figures.tables)
        created = GaugeMetricFamily(
            "tracing_config_records_created",
            "Records that are there, by the calendar month (UTC) in which they were created: 0 is the current one.",
            labels=["kind", "months_ago"],
        )
        for kind, months in figures.created.items():
            for months_ago, count in enumerate(months):
                created.add_metric([kind, str(months_ago)], count)
        yield created
        yield GaugeMetricFamily("tracing_config_log_revisions", "Revisions in the log.", value=figures.revisions)


def _table_sizes(tables: Mapping[str, TableSize]) -> Iterator[Metric]:
    own = GaugeMetricFamily("tracing_config_table_bytes", "Size of a table's rows.", labels=["table"])
    whole = GaugeMetricFamily(
        "tracing_config_table_total_bytes", "Size of a table with its indexes and long values.", labels=["table"]
    )
    for name, size in sorted(tables.items()):
        own.add_metric([name], size.bytes)
        whole.add_metric([name], size.total_bytes)
    yield from (own, whole)

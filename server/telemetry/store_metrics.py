"""What Prometheus sees of what is served, and of the store that it comes from."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.follower import Follower
from server.health import Health
from server.served import Served
from storage.interface import PoolState


class StoreMetrics(Collector):
    def __init__(self, served: Served, follower: Follower, health: Health) -> None:
        self._served, self._follower, self._health = served, follower, health

    def collect(self) -> Iterator[Metric]:
        yield from self._at()
        follower, catalog = self._follower, self._served.catalog
        yield GaugeMetricFamily("tracing_config_services", "Services with a record.", len(catalog.records("service")))
        yield GaugeMetricFamily(
            "tracing_config_next_boundary_timestamp_seconds",
            "When the next window of a policy or boost opens or closes; +Inf where none does.",
            catalog.next_boundary,
        )
        yield GaugeMetricFamily(
            "tracing_config_clock_offset_seconds", "The store's clock ahead of ours.", follower.store.clock_offset
        )
        yield GaugeMetricFamily("db_up", "1 while the store answers and can be followed.", self._health.database_up)
        if (redis_up := self._health.redis_up) is not None:
            yield GaugeMetricFamily("redis_up", "1 while Redis answers.", redis_up)
        yield GaugeMetricFamily(
            "tracing_config_foreign_store",
            "1 while another store stands in place of the followed one: answers stay, writes are refused.",
            follower.store.foreign is not None,
        )
        yield CounterMetricFamily(
            "tracing_config_store_reconnects",
            "Times that the store was followed again after it could not be.",
            follower.reconnects,
        )
        yield CounterMetricFamily(
            "tracing_config_histories_lost", "Times that the store lacked a served commit.", follower.histories_lost
        )
        yield CounterMetricFamily(
            "tracing_config_content_mismatches",
            "Loads and changes that missed their checksum and were not taken.",
            follower.mismatches,
        )
        writes = CounterMetricFamily(
            "tracing_config_writes",
            "Records that the API of this replica wrote or deleted, by their kind.",
            labels=["kind"],
        )
        for kind, count in follower.writes.items():
            writes.add_metric([kind], count)
        yield writes
        if (pool := follower.store.pool) is not None:
            yield from _pool(pool)

    def _at(self) -> Iterator[Metric]:
        """Where in which history this replica is."""
        point = self._served.point
        revision, commit_id, store_id = (-1, "", None) if point is None else (point.revision, point.commit_id, point.store_id)
        yield GaugeMetricFamily("tracing_config_revision", "The served revision; -1 before the first.", revision)
        yield GaugeMetricFamily(
            "tracing_config_commit",
            "The first eight hexadecimal digits of the served commit's id, as a number: equal on replicas that serve the same. "
            "-1 before the first.",
            _number(commit_id),
        )
        store = GaugeMetricFamily("tracing_config_store_info", "The followed store, by its id.", labels=["store_id"])
        if store_id is not None:
            store.add_metric([store_id], 1)
        yield store
        yield GaugeMetricFamily(
            "tracing_config_staleness_seconds",
            "Since the served revision was last seen to be the newest.",
            self._follower.staleness,
        )


def _pool(pool: PoolState) -> Iterator[Metric]:
    connections = GaugeMetricFamily(
        "tracing_config_database_connections",
        "Connections to PostgreSQL that commit: active, in use by a commit; idle, open and free.",
        labels=["state"],
    )
    connections.add_metric(["active"], pool.active)
    connections.add_metric(["idle"], pool.idle)
    yield connections
    most = "How many connections to PostgreSQL may be open for commits."
    yield GaugeMetricFamily("tracing_config_database_connections_max", most, pool.maximum)
    yield GaugeMetricFamily(
        "tracing_config_database_connections_pending", "Commits that wait for a connection to PostgreSQL.", pool.pending
    )
    same = "By the name that the operations guide knows: there is no HikariCP here."
    active = "Connections to PostgreSQL that are in use by a commit."
    yield GaugeMetricFamily("hikaricp_connections_active", f"{active} {same}", pool.active)
    yield GaugeMetricFamily("hikaricp_connections_max", f"{most} {same}", pool.maximum)


def _number(commit_id: str) -> int:
    """-1 for one that somebody wrote into the database: a scrape must not fail for it."""
    try:
        return int(commit_id[:8], 16)
    except ValueError:
        return -1

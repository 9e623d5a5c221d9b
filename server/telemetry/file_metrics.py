"""What Prometheus sees of files: the strategies file and certificates."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.health import Health
from server.served import Served
from server.strategies_file import StrategiesFileWatch


class FileMetrics(Collector):
    def __init__(self, served: Served, strategies_file: StrategiesFileWatch | None, health: Health) -> None:
        self._served, self._strategies_file, self._health = served, strategies_file, health

    def collect(self) -> Iterator[Metric]:
        file, watch = self._served.catalog.file, self._strategies_file
        info = GaugeMetricFamily(
            "tracing_config_strategies_file_info",
            "The strategies file that is served, by its sha256.",
            labels=["sha256"],
        )
        info.add_metric([file.sha256], 1)
        yield info
        yield GaugeMetricFamily(
            "tracing_config_strategies_file_services", "Services in the strategies file.", len(file.services)
        )
        if watch is not None:
            yield GaugeMetricFamily(
                "tracing_config_strategies_file_last_reload_timestamp_seconds",
                "When the strategies file was last read and could be served.",
                watch.loaded_at,
            )
            yield GaugeMetricFamily(
                "tracing_config_strategies_file_reload_success",
                "1 while the strategies file as it is now is served; 0 where its last good state is.",
                watch.problem is None,
            )
        if self._health.certificates:
            expiry = GaugeMetricFamily(
                "tracing_config_certificate_expiry_timestamp_seconds",
                "Until when the certificate that is shown can be used.",
                labels=["use"],
            )
            for certificate in self._health.certificates:
                expiry.add_metric([certificate.use], certificate.leaf.not_after.timestamp())
            yield expiry

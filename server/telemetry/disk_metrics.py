"""What Prometheus sees of the disk: what its last look found, at scrape time."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.disk_space import DiskSpace


class DiskMetrics(Collector):
    """Of the disk that the data folder is on. How much room there is has no sample while nobody knows."""

    def __init__(self, disk: DiskSpace) -> None:
        self._disk = disk

    def collect(self) -> Iterator[Metric]:
        disk = self._disk
        text = "1 while the disk of the data folder answers, and has as much room as the setting asks for."
        yield GaugeMetricFamily("tracing_config_disk_up", text, value=disk.up)
        if disk.room is not None:
            text = "Bytes that may still be taken on the disk of the data folder."
            yield GaugeMetricFamily("tracing_config_disk_free_bytes", text, value=disk.room.free)
            yield GaugeMetricFamily("tracing_config_disk_total_bytes", "Size of that disk.", value=disk.room.total)

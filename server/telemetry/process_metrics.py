"""What Prometheus sees of the process, beside the usual ``process_*``."""

from collections.abc import Iterator
from functools import cache
from importlib.metadata import version

from prometheus_client.core import GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from server.telemetry.garbage_pauses import GarbagePauses
from server.telemetry.process import Process
from server.telemetry.process_limits import ProcessLimits


class ProcessMetrics(Collector):
    def __init__(self, process: Process, limits: ProcessLimits, pauses: GarbagePauses) -> None:
        self._process, self._limits, self._pauses = process, limits, pauses

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("tracing_config_build_info", "The program, by its version.", labels=["version"])
        build.add_metric([_version()], 1)
        yield build
        limits = self._limits.now
        most = "Memory that this process may use: the limit of its control group, else the machine's memory."
        yield GaugeMetricFamily("tracing_config_memory_limit_bytes", most, limits.memory_bytes)
        yield GaugeMetricFamily(
            "tracing_config_cpu_limit_cores",
            "Processors that this process may keep busy: the quota of its control group, else those of the machine.",
            limits.cpu_cores,
        )
        same = "By the name that the operations guide knows: there is no JVM here."
        yield GaugeMetricFamily("jvm_memory_max_bytes", f"{most} {same}", limits.memory_bytes)
        yield GaugeMetricFamily(
            "jvm_memory_used_bytes",
            f"Memory that this process holds, as process_resident_memory_bytes. {same}",
            self._process.memory_bytes,
        )
        pauses = self._pauses.timer
        yield SummaryMetricFamily(
            "tracing_config_gc_pause_seconds",
            "Pauses of Python's garbage collector, in which nothing else runs.",
            count_value=pauses.count,
            sum_value=pauses.total,
        )


@cache
def _version() -> str:
    return version("tracing-config")

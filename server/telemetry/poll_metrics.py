"""What Prometheus sees of polls. (How long they take: the server polls itself, see the figures.)"""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.answers import Answers
from server.health import Health


class PollMetrics(Collector):
    def __init__(self, answers: Answers, health: Health) -> None:
        self._answers, self._health = answers, health

    def collect(self) -> Iterator[Metric]:
        polls = CounterMetricFamily("tracing_config_polls", "Polls by protocol and outcome.", labels=["protocol", "outcome"])
        for labels, count in self._answers.polls().items():
            polls.add_metric(labels, count)
        yield polls
        cache = self._answers.cache
        gets = CounterMetricFamily(
            "tracing_config_cache_gets",
            "Answered polls: hit, from memory as it stood; miss, the answer had to be resolved and encoded.",
            labels=["result"],
        )
        gets.add_metric(["hit"], cache.hits)
        gets.add_metric(["miss"], cache.misses)
        yield gets
        yield CounterMetricFamily(
            "tracing_config_cache_puts", "Answers that were put into memory: one for each miss.", cache.misses
        )
        yield CounterMetricFamily(
            "tracing_config_cache_evictions",
            "Names that were forgotten with their answers to make room for others.",
            cache.evictions,
        )
        yield GaugeMetricFamily("tracing_config_ready", "1 while polls are answered.", self._health.ready)

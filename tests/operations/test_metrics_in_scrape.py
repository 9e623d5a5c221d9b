"""Every metric that an alert or the dashboard asks for is in a scrape of a running server, with the labels it is asked by.

The names are found by `promql.selectors`, which knows functions, operators and lists of labels from metrics.
"""

import re
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.e2e.certificates import Authority
from tests.e2e.replica import PLAIN, Replica, strategies
from tests.e2e.stores import replica_on
from tests.operations.alert_rules import ALERTS
from tests.operations.grafana import SHOWN, expressions
from tests.operations.promql import Selector, selectors
from tests.services.local_server import free_port
from tests.services.valkey import ValkeyServer
from tests.waiting import eventually

OF_PROMETHEUS = {"up", "ALERTS"}
"""What Prometheus itself adds to what it scrapes."""

OF_THE_TARGET = {"job", "instance", "namespace"}

LOOKED_FOR: list[tuple[str, Selector]] = [
    *((name, one) for name, rule in ALERTS.items() for one in selectors(rule["expr"])),
    *((panel["title"], one) for panel in SHOWN for text in expressions(panel) for one in selectors(text)),
]
"""With the alert or the panel that asks for it."""

DIVIDED = {
    "jvm_memory_used_bytes",
    "jvm_memory_max_bytes",
    "hikaricp_connections_active",
    "hikaricp_connections_max",
    "process_cpu_seconds_total",
    "tracing_config_cpu_limit_cores",
    "db_up",
    "tracing_config_foreign_store",
    "tracing_config_histories_lost_total",
    "process_start_time_seconds",
}
"""Series that are held against another one of the same replica, which matches where neither has labels of its own."""


@pytest.fixture(scope="module")
def replica(
    tmp_path_factory: pytest.TempPathFactory, valkey: ValkeyServer, request: pytest.FixtureRequest
) -> Iterator[Replica]:
    """On PostgreSQL and Redis, with a strategies file, TLS on the sidecar and a dependency (that is away)."""
    folder = tmp_path_factory.mktemp("replica")
    valkey.flush()
    file = folder / "strategies.json"
    file.write_text(strategies(shop=0.5))
    authority = Authority(folder / "authority")
    issued = authority.server(folder / "certs")
    settings = {
        "TRACING_CONFIG_REDIS_URL": valkey.url(),
        "TRACING_CONFIG_STRATEGIES_FILE": str(file),
        "TRACING_CONFIG_SIDECAR_TLS_CERT": str(issued.cert),
        "TRACING_CONFIG_SIDECAR_TLS_KEY": str(issued.key),
        "TRACING_CONFIG_JAEGER_URL": f"http://127.0.0.1:{free_port()}",
    }
    with replica_on("postgres", folder / "data", request, **settings) as replica:
        replica.trusted(authority.context())
        assert replica.put_rate("shop", 0.25).is_success
        refused = replica.api("PUT", "/services/shop", json={}, headers={"Authorization": "Bearer a-token-of-nobody"})
        assert refused.status_code == 401
        with pytest.raises(httpx.TransportError):  # Speaks no TLS, and is counted.
            httpx.get(replica.metrics_url.replace("https", "http"), timeout=5, **PLAIN)
        yield replica


def scraped(replica: Replica) -> list[Sample]:
    """As Prometheus reads it."""
    text = httpx.get(f"{replica.metrics_url}/metrics", timeout=5, **replica.trust).text
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def is_there(selector: Selector, samples: list[Sample]) -> bool:
    """Whether a sample has its name, all labels it is asked by, and the values that are named."""
    own = {label: value for label, value in selector.labels.items() if label not in OF_THE_TARGET}
    return any(
        sample.name == selector.metric
        and own.keys() <= sample.labels.keys()
        and all(value in {None, sample.labels[label]} for label, value in own.items())
        for sample in samples
    )


def missing(replica: Replica) -> list[str]:
    """What nothing in the scrape answers, and who asks for it."""
    samples = scraped(replica)
    return [
        f"{one.metric}{dict(one.labels)}, asked for by {place}"
        for place, one in LOOKED_FOR
        if one.metric not in OF_PROMETHEUS and not is_there(one, samples)
    ]


async def test_every_metric_of_alerts_and_dashboard_is_in_a_scrape(replica: Replica) -> None:
    with suppress(TimeoutError):
        await eventually(lambda: not missing(replica))  # A replica polls itself, and measures its tables, now and then.
    absent = missing(replica)
    assert not absent, "\n".join(absent)


def test_what_is_not_there_is_found(replica: Replica) -> None:
    samples = scraped(replica)
    assert is_there(Selector("tracing_config_polls_total", {"job": "x", "protocol": "grpc", "outcome": None}), samples)
    assert not is_there(Selector("tracing_config_poll_total", {}), samples)
    assert not is_there(Selector("tracing_config_polls_total", {"outcome": "failed"}), samples)
    assert not is_there(Selector("tracing_config_polls_total", {"status": None}), samples)


def test_what_is_held_against_another_series_has_no_labels_of_its_own(replica: Replica) -> None:
    labels = {sample.name: sample.labels for sample in scraped(replica) if sample.name in DIVIDED}
    assert labels == {name: {} for name in DIVIDED}


@pytest.mark.parametrize("alert", ["TracingConfigHighLatency", "TracingConfigSlowPolls"])
async def test_a_histogram_has_a_bucket_at_the_threshold_and_one_above(replica: Replica, alert: str) -> None:
    expression: str = ALERTS[alert]["expr"]
    (bucket,) = selectors(expression)
    (threshold,) = re.findall(r"> ([\d.]+)$", expression.strip())
    await eventually(lambda: any(sample.name == bucket.metric for sample in scraped(replica)))
    bounds = {float(sample.labels["le"]) for sample in scraped(replica) if sample.name == bucket.metric}
    assert float(threshold) in bounds
    assert any(float(threshold) < bound < float("inf") for bound in bounds)

"""What Prometheus reads of a replica that has everything: both ports, as promtool likes it, and every agreed name."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from tests.e2e.certificates import Authority
from tests.e2e.replica import Replica, strategies
from tests.e2e.stores import replica_on
from tests.services.valkey import ValkeyServer
from tests.waiting import eventually

NAMES = {
    "db_up",
    "hikaricp_connections_active",
    "hikaricp_connections_max",
    "http_request_duration_seconds_bucket",
    "http_request_duration_seconds_count",
    "http_request_duration_seconds_sum",
    "http_requests_total",
    "jvm_memory_max_bytes",
    "jvm_memory_used_bytes",
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
    "redis_up",
    "tracing_config_authentication_failures_total",
    "tracing_config_build_info",
    "tracing_config_cache_evictions_total",
    "tracing_config_cache_gets_total",
    "tracing_config_cache_puts_total",
    "tracing_config_certificate_expiry_timestamp_seconds",
    "tracing_config_clock_offset_seconds",
    "tracing_config_commit",
    "tracing_config_content_mismatches_total",
    "tracing_config_cpu_limit_cores",
    "tracing_config_database_connections",
    "tracing_config_database_connections_max",
    "tracing_config_database_connections_pending",
    "tracing_config_foreign_store",
    "tracing_config_gc_pause_seconds_count",
    "tracing_config_gc_pause_seconds_sum",
    "tracing_config_histories_lost_total",
    "tracing_config_memory_limit_bytes",
    "tracing_config_next_boundary_timestamp_seconds",
    "tracing_config_polls_total",
    "tracing_config_ready",
    "tracing_config_revision",
    "tracing_config_services",
    "tracing_config_staleness_seconds",
    "tracing_config_store_info",
    "tracing_config_store_reconnects_total",
    "tracing_config_strategies_file_info",
    "tracing_config_strategies_file_last_reload_timestamp_seconds",
    "tracing_config_strategies_file_reload_success",
    "tracing_config_strategies_file_services",
    "tracing_config_writes_total",
}

NAMES_OF_HEALTH_AND_FIGURES = {
    "tracing_config_disk_free_bytes",
    "tracing_config_disk_total_bytes",
    "tracing_config_disk_up",
    "tracing_config_last_backup_timestamp_seconds",
    "tracing_config_log_revisions",
    "tracing_config_records_created",
    "tracing_config_self_poll_failures_total",
    "tracing_config_self_poll_seconds_bucket",
    "tracing_config_self_poll_seconds_count",
    "tracing_config_self_poll_seconds_sum",
    "tracing_config_table_bytes",
    "tracing_config_table_total_bytes",
}
"""To be added to what is expected where those parts are in."""

EXPECTED = NAMES | NAMES_OF_HEALTH_AND_FIGURES

BOUNDED = {
    "dependency",
    "kind",
    "le",
    "method",
    "months_ago",
    "outcome",
    "protocol",
    "reason",
    "result",
    "route",
    "sha256",
    "state",
    "status",
    "store_id",
    "table",
    "use",
    "version",
}
"""The labels that there may be: each has a few values, and none is the name of a service."""


@pytest.fixture(scope="module")
def replica(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, valkey: ValkeyServer
) -> Iterator[Replica]:
    folder = tmp_path_factory.mktemp("scrape")
    file = folder / "strategies.json"
    file.write_text(strategies(0.25, **{"in-file": 0.5}))
    authority = Authority(folder)
    issued = authority.server(folder / "server")
    valkey.flush()
    settings = {
        "TRACING_CONFIG_REDIS_URL": valkey.url(),
        "TRACING_CONFIG_STRATEGIES_FILE": str(file),
        "TRACING_CONFIG_SIDECAR_TLS_CERT": str(issued.cert),
        "TRACING_CONFIG_SIDECAR_TLS_KEY": str(issued.key),
    }
    with replica_on("postgres", folder / "data", request, **settings) as replica:
        yield replica.trusted(authority.context())


def missing(replica: Replica) -> set[str]:
    """Names that are expected and not told."""
    return EXPECTED - {sample.partition("{")[0] for sample in replica.metrics()}


def test_promtool_likes_what_both_ports_tell_and_every_agreed_name_is_there(replica: Replica) -> None:
    assert replica.put_rate("a-service", 0.5).status_code == 200
    replica.poll_http("a-service")
    with suppress(TimeoutError):
        asyncio.run(eventually(lambda: not missing(replica)))
    assert missing(replica) == set()
    for url in (f"{replica.sidecar_url}/actuator/prometheus", f"{replica.metrics_url}/metrics"):
        response = httpx.get(url, **replica.trust)
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        checked = subprocess.run(["promtool", "check", "metrics"], input=response.content, capture_output=True, check=False)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
        lines = response.text.splitlines()
        assert {line.split()[2].removesuffix("_total") for line in lines if line.startswith("# HELP ")} == {
            line.split()[2].removesuffix("_total") for line in lines if line.startswith("# TYPE ")
        }
        samples = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
        assert len(samples) == len(set(samples))
        assert "a-service" not in response.text
        labels = {
            label.partition("=")[0] for sample in samples for label in sample.partition("{")[2].split(",") if "=" in label
        }
        assert labels <= BOUNDED

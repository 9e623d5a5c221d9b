"""What a running server tells of its store and of its own answers."""

import asyncio
from pathlib import Path

from storage.interface import Terms
from storage.postgres import PostgresStore
from storage.postgres.backup import PostgresDatabase
from tests.contract.backups import back_up
from tests.contract.writes import policy, service
from tests.e2e.certificates import Authority
from tests.e2e.replica import Replica
from tests.waiting import eventually

TIMES = 'tracing_config_self_poll_seconds_count{protocol="%s"}'


async def test_a_replica_tells_how_its_store_grows_and_how_old_its_backup_is(tmp_path: Path, postgres_url: str) -> None:
    store = PostgresStore(postgres_url)
    await store.open()
    await store.commit([service("a"), service("b"), policy("p")], Terms(actor="tests"))
    await store.close()
    whole = PostgresDatabase(postgres_url)
    manifest = await back_up(whole, tmp_path / "backup")
    await whole.note(manifest, "backup", 1)
    with Replica(tmp_path / "data", TRACING_CONFIG_DATABASE_URL=postgres_url) as replica:
        await eventually(lambda: "tracing_config_log_revisions" in replica.metrics())
        metrics = await asyncio.to_thread(replica.metrics)
    assert metrics["tracing_config_log_revisions"] == 2
    assert metrics["tracing_config_last_backup_timestamp_seconds"] == manifest.created_at.timestamp()
    assert metrics['tracing_config_records_created{kind="service",months_ago="0"}'] == 2
    assert metrics['tracing_config_records_created{kind="policy",months_ago="0"}'] == 2
    assert metrics['tracing_config_table_total_bytes{table="changes"}'] > 0


async def test_polls_of_itself_are_measured_also_where_clients_need_certificates_and_nobody_sees_them(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.server(tmp_path / "server")
    settings = {
        "TRACING_CONFIG_POLL_TLS_CERT": str(issued.cert),
        "TRACING_CONFIG_POLL_TLS_KEY": str(issued.key),
        "TRACING_CONFIG_POLL_TLS_CLIENT_CA": str(authority.file),
        "TRACING_CONFIG_POLL_SERVER": "grpcio",
        "TRACING_CONFIG_HTTP_PORTS": "0",
    }
    with Replica(tmp_path / "data", **settings) as replica:
        await eventually(lambda: replica.metrics()[TIMES % "http"] >= 1 <= replica.metrics()[TIMES % "grpc"])
        metrics = await asyncio.to_thread(replica.metrics)
        assert {name: value for name, value in metrics.items() if name.startswith("tracing_config_polls_total") and value} == {}
        for protocol in ("grpc", "http"):
            assert metrics[f'tracing_config_self_poll_failures_total{{protocol="{protocol}"}}'] == 0
        planned = replica.put_rate("a", 0.5, params={"dryRun": "true"}).json()
        assert planned["effect"]["examined"] == 1  # All configured names, and those that were polled lately.

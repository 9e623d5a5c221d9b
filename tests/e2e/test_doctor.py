"""``tracing-config doctor``: everything is looked at whatever else is wrong, and each failure has its cure."""

import asyncio
import json
import os
import re
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import asyncpg
import pytest
from redis import Redis
from typer.testing import CliRunner

from server.cli.commands import commands
from server.surroundings import KNOWN
from storage.sqlite import SqliteStore
from tests.e2e.certificates import Authority
from tests.e2e.command_line import closed_port, on_terminal
from tests.e2e.replica import Replica, strategies
from tests.e2e.stores import replica_on
from tests.services.http_stand_in import Reply, StandIn
from tests.services.target_stand_ins import JaegerStandIn, ZipkinStandIn
from tests.services.valkey import ValkeyServer

ROWS = ["settings", "data folder", "strategies file", "tokens file", "certificate of polls", "certificate of sidecar"]
ROWS += ["database", "Redis", "server"]

Finding = dict[str, Any]


def examine(environment: dict[str, str], *arguments: str, code: int) -> list[Finding]:
    """The findings of a doctor with these variables, whose exit code must be this."""
    result = CliRunner().invoke(commands, ["doctor", "--json", *arguments], env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert (result.exit_code, result.output) == (code, result.output)
    report = json.loads(result.stdout)
    findings: list[Finding] = report["findings"]
    assert report["well"] == (code == 0)
    assert report["failed"] == sum(finding["state"] == "failed" for finding in findings)
    return findings


def row(findings: list[Finding], what: str) -> Finding:
    (found,) = [finding for finding in findings if finding["what"] == what]
    return found


@pytest.fixture(scope="module")
def jaeger() -> Iterator[JaegerStandIn]:
    with JaegerStandIn() as running:
        yield running


@pytest.fixture(scope="module")
def zipkin() -> Iterator[ZipkinStandIn]:
    with ZipkinStandIn() as running:
        yield running


class Started(NamedTuple):
    """A server, and what it told of itself while its Zipkin was out of order."""

    replica: Replica
    health: dict[str, Any]
    metrics: dict[str, float]


@pytest.fixture(scope="module")
def started(
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
    valkey: ValkeyServer,
    jaeger: StandIn,
    zipkin: StandIn,
) -> Iterator[Started]:
    """A server that uses all there is."""
    folder = tmp_path_factory.mktemp("doctor")
    valkey.flush()
    file = folder / "strategies.json"
    file.write_text(strategies(0.5, shop=7))
    certificate = Authority(folder / "authority").server(folder / "certs")
    settings = {
        "TRACING_CONFIG_REDIS_URL": valkey.url(),
        "TRACING_CONFIG_STRATEGIES_FILE": str(file),
        "TRACING_CONFIG_SIDECAR_TLS_CERT": str(certificate.cert),
        "TRACING_CONFIG_SIDECAR_TLS_KEY": str(certificate.key),
        "TRACING_CONFIG_JAEGER_URL": jaeger.url,
        "TRACING_CONFIG_ZIPKIN_URL": zipkin.url,
    }
    zipkin.fault = "error"
    with replica_on("postgres", folder / "data", request, **settings) as running:
        while {"jaeger", "zipkin"} - {event.get("dependency") for event in running.events}:
            running.wait_for_event(lambda event: "dependency" in event)
        told = Started(running, running.health(), running.metrics())
        zipkin.fault = None
        yield told


@pytest.fixture
def replica(started: Started) -> Replica:
    return started.replica


def test_where_all_is_well_every_row_says_so_and_a_span_is_in_each_target(
    replica: Replica, jaeger: JaegerStandIn, zipkin: ZipkinStandIn
) -> None:
    findings = examine(replica.environment, code=0)
    states = {finding["what"]: finding["state"] for finding in findings}
    off = {"tokens file", "certificate of polls", "elasticsearch", "registry"}
    assert {what for what, state in states.items() if state == "off"} == off
    assert {what for what, state in states.items() if state == "ok"} == states.keys() - off
    assert list(states)[: len(ROWS)] == ROWS
    assert row(findings, "data folder")["where"] == str(replica.data_dir)
    assert "schema 3, at " in row(findings, "database")["result"]
    assert "1 service, 1 warning" in row(findings, "strategies file")["result"]
    assert "tracing-config validate" in row(findings, "strategies file")["cure"]
    assert "days left, for tracing-config.example.org" in row(findings, "certificate of sidecar")["result"]
    assert row(findings, "Redis")["result"].startswith("version ")
    assert row(findings, "zipkin")["result"] == "storage InMemoryStorage"
    for target in (jaeger, zipkin):
        span = row(findings, f"span to {'jaeger' if target is jaeger else 'zipkin'}")
        assert target.spans[span["traceId"]].service == "tracing-config-doctor"
        assert span["traceId"] in span["result"]
        assert target.refused == []


def test_the_table_has_the_same_rows(replica: Replica) -> None:
    result = CliRunner().invoke(commands, ["doctor"], env=replica.environment)
    heading, *rows, last = result.stdout.splitlines()
    assert (result.exit_code, last) == (0, "all is well")
    assert heading.split() == ["WHAT", "WHERE", "RESULT", "TOOK", "CURE"]
    result_column, took = heading.index("RESULT"), heading.index("TOOK")
    for line in rows:
        assert line[result_column:].startswith(("ok: ", "off "))
        assert line[result_column:].startswith("ok: ") == line[took:].partition("  ")[0].endswith(" ms")
    assert [line for line in rows if line.startswith("registry ") and "TRACING_CONFIG_REGISTRY turns it on" in line]


def test_without_spans_none_is_sent(replica: Replica, jaeger: JaegerStandIn, zipkin: ZipkinStandIn) -> None:
    before = {**jaeger.spans, **zipkin.spans}
    findings = examine(replica.environment, "--no-spans", code=0)
    assert not [finding for finding in findings if finding["what"].startswith("span")]
    assert {**jaeger.spans, **zipkin.spans} == before


def test_health_and_metrics_of_the_server_tell_of_each_target_and_the_total_stays_up_without_one(started: Started) -> None:
    components = started.health["components"]
    assert components["jaeger"]["status"] == "UP"
    assert components["jaeger"]["details"]["latencyMilliseconds"] > 0
    assert components["zipkin"]["status"] == "DOWN"
    assert "answers 500" in components["zipkin"]["details"]["problem"]
    assert started.health["status"] == "UP"
    metrics = {name: started.metrics[f'tracing_config_dependency_up{{dependency="{name}"}}'] for name in ("jaeger", "zipkin")}
    assert metrics == {"jaeger": 1, "zipkin": 0}


def test_on_a_terminal_it_tells_what_it_looks_at(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in replica.environment.items():
        monkeypatch.setenv(name, value)
    shown = on_terminal(replica, "doctor")
    assert shown.index("looking at") < shown.index("RESULT")
    assert "all is well" in shown


@pytest.fixture
def nothing(tmp_path: Path) -> dict[str, str]:
    """Settings of a server that never ran, on ports of nobody."""
    names = ("GRPC_PORTS", "HTTP_PORTS", "SIDECAR_PORT", "METRICS_PORT")
    ports = {f"TRACING_CONFIG_{name}": str(closed_port()) for name in names}
    return {**ports, "TRACING_CONFIG_DATA_DIR": str(tmp_path / "data")}


def test_where_nothing_is_yet_that_is_told_and_nothing_is_made(nothing: dict[str, str], tmp_path: Path) -> None:
    findings = examine(nothing, code=1)
    assert [finding["what"] for finding in findings if finding["state"] == "failed"] == ["data folder", "database", "server"]
    for what in ("data folder", "database", "server"):
        assert "`tracing-config serve`" in row(findings, what)["cure"]
    assert "Connection refused" in row(findings, "server")["result"]
    for name, variable in KNOWN.items():
        assert (row(findings, name)["state"], row(findings, name)["cure"]) == ("off", f"{variable} turns it on")
    assert list(tmp_path.iterdir()) == []


def broken_strategies(folder: Path) -> str:
    file = folder / "strategies.json"
    file.write_text("{")
    return str(file)


def tokens_for_all(folder: Path) -> str:
    file = folder / "tokens.json"
    file.write_text("[")
    return str(file)


def occupied(folder: Path) -> str:
    file = folder / "occupied"
    file.write_text("")
    return str(file)


Made = Callable[[Path], str]


def pipe(folder: Path) -> str:
    file = folder / "pipe"
    os.mkfifo(file)
    return str(file)


FAILURES: dict[str, tuple[str, str, str | Made, str]] = {
    # What is wrong: the row, the setting, its value, what is said.
    "a data folder that is a file": ("data folder", "DATA_DIR", occupied, "Not a directory"),
    "a strategies file that is none": ("strategies file", "STRATEGIES_FILE", broken_strategies, "line 1"),
    "no strategies file": ("strategies file", "STRATEGIES_FILE", "/nowhere.json", "No such file"),
    "a tokens file that is none": ("tokens file", "TOKENS_FILE", tokens_for_all, ""),
    "no PostgreSQL": ("database", "DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/db", "Connect call failed"),
    "no address of one": ("database", "DATABASE_URL", "postgresql://u:hunter2@host:port/db", "must look like"),
    "a pipe for a secret": ("settings", "REDIS_URL_FILE", pipe, "no regular file"),
    "a pipe of tokens": ("tokens file", "TOKENS_FILE", pipe, "no regular file"),
    "no Redis": ("Redis", "REDIS_URL", "redis://:hunter2@127.0.0.1:1/0", "Connect call failed"),
    "no address of a Redis": ("Redis", "REDIS_URL", "redis://:hunter2@host:port/0", "must look like"),
    "no Jaeger": ("jaeger", "JAEGER_URL", "http://127.0.0.1:1", "connection refused"),
    "no Zipkin": ("span to zipkin", "ZIPKIN_URL", "http://127.0.0.1:1", "connection refused"),
    "a port that nobody knows": ("server", "SIDECAR_PORT", "0", "free one"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_told_with_its_setting_and_the_other_rows_are_there(
    nothing: dict[str, str], tmp_path: Path, failure: str
) -> None:
    what, setting, value, said = FAILURES[failure]
    variable = f"TRACING_CONFIG_{setting}"
    given = value if isinstance(value, str) else value(tmp_path)
    findings = examine({**nothing, "TRACING_CONFIG_ADMIN_TOKEN": "hunter2-hunter2-hunter2", variable: given}, code=1)
    finding = row(findings, what)
    assert finding["state"] == "failed"
    assert said in finding["result"]
    assert variable in finding["cure"] or "`tracing-config" in finding["cure"]
    assert {finding["what"] for finding in findings} >= {*ROWS, *KNOWN}
    assert "hunter2" not in json.dumps(findings)


def test_a_certificate_that_ended_or_lacks_its_key_or_ends_soon_is_told(nothing: dict[str, str], tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")

    def look(days: float, key: str = "") -> Finding:
        issued = authority.client(f"days{days}", days=days)
        files = {"TRACING_CONFIG_POLL_TLS_CERT": str(issued.cert), "TRACING_CONFIG_POLL_TLS_KEY": key or str(issued.key)}
        return row(examine({**nothing, **files}, code=1), "certificate of polls")

    assert (look(-2)["state"], "ended on" in look(-2)["result"]) == ("failed", True)
    assert (look(3)["state"], look(3)["result"].startswith("2 days left")) == ("ok", True)
    for found in (look(-2), look(3)):
        assert "TRACING_CONFIG_POLL_TLS_CERT" in found["cure"]
    assert (look(100)["state"], look(100)["cure"]) == ("ok", "")
    assert look(100, key="/nowhere.key")["state"] == "failed"


def test_settings_that_cannot_be_used_each_have_a_row_and_what_does_not_need_them_is_looked_at(
    nothing: dict[str, str], jaeger: JaegerStandIn
) -> None:
    wrong = {
        "TRACING_CONFIG_DATABASE_URL": "mysql://u:hunter2@host/db",
        "TRACING_CONFIG_ZIPKIN_URL": "http://u:hunter2@zipkin:9411",
        "TRACING_CONFIG_POLL_TLS_CERT": "/tls.crt",
        "TRACING_CONFIG_DRAIN_SECONDS": "soon",
        "TRACING_CONFIG_REGISTRY_URL": "ftp://u:hunter2@registry",
        "TRACING_CONFIG_JAEGER_URL": jaeger.url,
    }
    findings = examine({**nothing, **wrong, "TRACING_CONFIG_REGISTRY": "eureka"}, code=1)
    rows = [finding for finding in findings if finding["what"] == "settings"]
    assert {finding["where"] for finding in rows} == wrong.keys() - {"TRACING_CONFIG_JAEGER_URL"}
    assert all(finding["state"] == "failed" and finding["where"] in finding["cure"] for finding in rows)
    for what in ("database", "zipkin", "registry", "certificate of polls"):
        assert row(findings, what)["state"] == "not checked"
        assert row(findings, what)["cure"].startswith("correct TRACING_CONFIG_")
    assert row(findings, "jaeger")["state"] == "ok"
    assert "hunter2" not in json.dumps(findings)


async def test_a_database_that_is_empty_or_takes_no_writes_is_told_and_stays_as_it_is(
    nothing: dict[str, str], postgres_url: str, replica: Replica
) -> None:
    async def look(url: str) -> Finding:
        environment = {**nothing, "TRACING_CONFIG_DATABASE_URL": url, "TRACING_CONFIG_ADMIN_TOKEN": "x" * 16}
        return row(await asyncio.to_thread(examine, environment, code=1), "database")

    empty = await look(postgres_url)
    assert (empty["state"], empty["result"]) == ("failed", "it is empty")
    full = replica.environment["TRACING_CONFIG_DATABASE_URL"]
    database = full.rpartition("/")[2]
    connection = await asyncpg.connect(full)
    other = await asyncpg.connect(postgres_url)
    try:
        assert await other.fetchval("SELECT count(*) FROM pg_class WHERE relname = 'schema_migrations'") == 0
        await connection.execute(
            "CREATE ROLE doctor_reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO doctor_reader"
        )
        found = await look(full.replace("postgres@", "doctor_reader@"))
        assert "may not write" in found["result"]
        await connection.execute(f"ALTER ROLE doctor_reader IN DATABASE {database} SET default_transaction_read_only = on")
        found = await look(full.replace("postgres@", "doctor_reader@"))
        assert "read-only" in found["result"]
        assert "TRACING_CONFIG_DATABASE_URL" in found["cure"]
    finally:
        await connection.execute("DROP OWNED BY doctor_reader; DROP ROLE doctor_reader")
        await connection.close()
        await other.close()


async def test_a_database_in_a_file_is_told_whether_a_server_has_it_open_or_not_and_stays_as_it_is(
    nothing: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "data" / "tracing-config.db"

    async def look() -> None:
        before = sorted(file.parent.iterdir())
        found = row(await asyncio.to_thread(examine, nothing, code=1), "database")
        assert (found["state"], found["where"], found["cure"]) == ("ok", str(file), "")
        assert re.fullmatch(rf"SQLite 3\.\S+, schema 3, at {point}, can be written", found["result"])
        assert sorted(file.parent.iterdir()) == before

    store = SqliteStore(file)
    await store.open()
    point = (await store.head()).point
    await look()
    killed = tmp_path / "killed"
    shutil.copytree(file.parent, killed)
    await store.close()
    assert list(file.parent.iterdir()) == [file]
    await look()
    # What a server that was killed left in the write-ahead log stays there for the next one.
    left = {name: (killed / name).read_bytes() for name in (file.name, f"{file.name}-wal")}
    shutil.rmtree(file.parent)
    killed.rename(file.parent)
    await look()
    assert {name: (file.parent / name).read_bytes() for name in left} == left


def test_a_file_that_is_no_database_or_of_a_newer_program_is_told_and_stays_as_it_is(
    nothing: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    file = folder / "tracing-config.db"

    def look() -> Finding:
        before = file.read_bytes()
        found = row(examine(nothing, code=1), "database")
        assert file.read_bytes() == before
        assert list(folder.iterdir()) == [file]
        return found

    file.write_bytes(b"")
    assert look()["result"] == "it is empty"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE schema_migrations (number, checksum, oldest_program)")
        connection.execute("INSERT INTO schema_migrations VALUES (99, '', 99)")
        connection.commit()
    found = look()
    assert (found["state"], found["cure"].startswith("start a newer version")) == ("failed", False)
    assert "newer version" in found["result"] + found["cure"]
    file.write_bytes(b"certainly no database" * 100)
    found = look()
    assert (found["state"], "not a database" in found["result"]) == ("failed", True)


def test_a_redis_that_takes_no_copy_is_told(nothing: dict[str, str], private_valkey: ValkeyServer) -> None:
    def look() -> str:
        found = row(examine({**nothing, "TRACING_CONFIG_REDIS_URL": private_valkey.url()}, code=1), "Redis")
        assert (found["state"], "TRACING_CONFIG_REDIS_URL" in found["cure"]) == ("failed", True)
        return str(found["result"])

    with Redis.from_url(private_valkey.url()) as client:
        client.config_set("maxmemory", 1)
        assert "its memory is full" in look()
        client.config_set("maxmemory", 0)
        client.replicaof("127.0.0.1", str(closed_port()))
        assert "a read-only replica" in look()


def test_servers_that_hang_are_told_in_time_and_end_no_other_check(nothing: dict[str, str], zipkin: ZipkinStandIn) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging, JaegerStandIn() as slow:
        slow.fault = "slow"
        port = hanging.getsockname()[1]
        environment = {
            **nothing,
            "TRACING_CONFIG_ADMIN_TOKEN": "x" * 16,
            "TRACING_CONFIG_DATABASE_URL": f"postgresql://u:hunter2@127.0.0.1:{port}/db",
            "TRACING_CONFIG_REDIS_URL": f"redis://127.0.0.1:{port}",
            "TRACING_CONFIG_JAEGER_URL": slow.url,
            "TRACING_CONFIG_ZIPKIN_URL": zipkin.url,
        }
        started = monotonic()
        findings = examine(environment, code=1)
        assert monotonic() - started < 15
    for what in ("database", "Redis", "jaeger", "span to jaeger"):
        assert row(findings, what)["state"] == "failed"
        assert 0.2 < row(findings, what)["seconds"] < 6
    assert row(findings, "zipkin")["state"] == "ok"


def test_a_port_that_is_closed_and_what_is_no_such_server_are_told(
    nothing: dict[str, str], replica: Replica, zipkin: StandIn
) -> None:
    environment = {**replica.environment, "TRACING_CONFIG_HTTP_PORTS": nothing["TRACING_CONFIG_HTTP_PORTS"]}
    found = row(examine(environment, code=1), "server")
    assert "does not accept connections" in found["result"]
    assert "TRACING_CONFIG_HTTP_PORTS" in found["cure"]
    found = row(examine({**nothing, "TRACING_CONFIG_SIDECAR_PORT": str(zipkin.port)}, code=1), "server")
    assert "something else answers there: 404" in found["result"]


def test_a_sidecar_that_asks_for_certificates_is_asked_with_one_or_the_cure_is_to_name_one(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    issued, ours = authority.server(tmp_path / "certs"), authority.client("doctor")
    files = {"CERT": issued.cert, "KEY": issued.key, "CLIENT_CA": authority.file}
    settings = {f"TRACING_CONFIG_SIDECAR_TLS_{name}": str(file) for name, file in files.items()}
    shown = {"TRACING_CONFIG_CLIENT_CERT": str(ours.cert), "TRACING_CONFIG_CLIENT_KEY": str(ours.key)}
    with Replica(tmp_path / "data", **settings) as running:
        found = row(examine(running.environment, code=1), "server")
        assert (found["state"], "TRACING_CONFIG_CLIENT_CERT" in found["cure"]) == ("failed", True)
        assert row(examine({**running.environment, **shown}, code=0), "server")["state"] == "ok"
    assert "`tracing-config serve`" in row(examine({**running.environment, **shown}, code=1), "server")["cure"]


def test_a_server_that_is_not_ready_is_told_with_what_is_down(nothing: dict[str, str]) -> None:
    health = {"status": "DOWN", "components": {"db": {"status": "DOWN"}, "diskSpace": {"status": "UP"}}}
    answers = {"liveness": Reply(200), "readiness": Reply(503), "health": Reply(503, json.dumps(health).encode())}
    with StandIn(lambda request: answers[request.path.rpartition("/")[2]]) as server:
        found = row(examine({**nothing, "TRACING_CONFIG_SIDECAR_PORT": str(server.port)}, code=1), "server")
    assert (found["state"], found["result"]) == ("failed", "it runs, but is not ready; DOWN are db")


def test_where_health_is_hidden_no_token_is_shown_to_what_listens_there(nothing: dict[str, str]) -> None:
    hidden = json.dumps({"status": "DOWN"}).encode()
    answers = {"liveness": Reply(200), "readiness": Reply(503), "health": Reply(503, hidden)}
    with StandIn(lambda request: answers[request.path.rpartition("/")[2]]) as server:
        settings = {"SIDECAR_PORT": str(server.port), "HEALTH_DETAILS": "authorized", "ADMIN_TOKEN": "x" * 16}
        found = row(
            examine({**nothing, **{f"TRACING_CONFIG_{name}": value for name, value in settings.items()}}, code=1), "server"
        )
        assert all("authorization" not in request.headers for request in server.requests)
    assert (found["state"], found["result"]) == ("failed", "it runs, but is not ready")
    assert "/actuator/health there, with a token" in found["cure"]


def test_a_disk_without_the_room_that_is_asked_for_is_told(nothing: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    found = row(examine({**nothing, "TRACING_CONFIG_DISK_THRESHOLD_BYTES": str(2**62)}, code=1), "data folder")
    assert (found["state"], "TRACING_CONFIG_DISK_THRESHOLD_BYTES" in found["cure"]) == ("failed", True)

"""The doctor beside a server with everything that there may be, all of it real; Jaeger where ``JAEGER_BIN`` names one."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest

from tests.e2e.replica import ROOT, TOKEN, Replica, strategies
from tests.services.eureka import EurekaServer
from tests.services.jaeger import VARIABLE as JAEGER
from tests.services.jaeger import JaegerServer
from tests.services.local_server import LocalServer
from tests.services.opensearch import OpenSearchServer
from tests.services.postgres import PostgresServer
from tests.services.valkey import ValkeyServer
from tests.services.zipkin import ZipkinServer
from tests.waiting import eventually

Finding = dict[str, Any]


class Platform(NamedTuple):
    """A server, and all that it works with, by the doctor's rows."""

    replica: Replica
    servers: dict[str, LocalServer]


@pytest.fixture(scope="module")
def platform(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    eureka: EurekaServer,
    opensearch: OpenSearchServer,
    zipkin: ZipkinServer,
) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("doctor")
    file = folder / "strategies.json"
    file.write_text(strategies(0.5, shop=7))
    with PostgresServer() as postgres, ValkeyServer() as valkey:
        servers: dict[str, LocalServer] = {"database": postgres, "Redis": valkey, "zipkin": zipkin}
        servers |= {"elasticsearch": opensearch, "registry": eureka}
        settings = {
            "TRACING_CONFIG_ADMIN_TOKEN": TOKEN,
            "TRACING_CONFIG_DATABASE_URL": postgres.url(),
            "TRACING_CONFIG_REDIS_URL": valkey.url(),
            "TRACING_CONFIG_STRATEGIES_FILE": str(file),
            "TRACING_CONFIG_ZIPKIN_URL": zipkin.url,
            "TRACING_CONFIG_ELASTICSEARCH_URL": opensearch.url,
            "TRACING_CONFIG_REGISTRY": "eureka",
            "TRACING_CONFIG_REGISTRY_URL": eureka.url,
        }
        if os.environ.get(JAEGER):
            jaeger: JaegerServer = request.getfixturevalue("jaeger")
            servers["jaeger"] = jaeger
            settings["TRACING_CONFIG_JAEGER_URL"] = jaeger.url
        with Replica(folder / "data", **settings) as replica:
            yield Platform(replica, servers)


def doctor(replica: Replica, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "server", "doctor", *options]
    return subprocess.run(command, cwd=ROOT, env=replica.environment, capture_output=True, text=True, timeout=60, check=False)


def findings(replica: Replica, code: int) -> dict[str, Finding]:
    """By what is looked at. ``code``: with which the doctor must end."""
    done = doctor(replica, "--json")
    assert (done.returncode, done.stderr) == (code, ""), done.stdout
    return {finding["what"]: finding for finding in json.loads(done.stdout)["findings"]}


def has(target: ZipkinServer | JaegerServer, trace_id: str) -> bool:
    return bool(target.spans(trace_id))


def targets(platform: Platform) -> list[ZipkinServer | JaegerServer]:
    return [server for server in platform.servers.values() if isinstance(server, ZipkinServer | JaegerServer)]


async def test_all_is_well_and_every_target_has_its_span(platform: Platform, opensearch: OpenSearchServer) -> None:
    before = opensearch.ask("GET", "/_resolve/index/*")
    found = findings(platform.replica, 0)
    table = doctor(platform.replica, "--no-spans")
    print(table.stdout)
    assert (table.returncode, table.stderr, table.stdout.splitlines()[-1]) == (0, "", "all is well")
    assert {found[name]["state"] for name in (*platform.servers, "server", "strategies file")} == {"ok"}
    assert "distribution opensearch" in found["elasticsearch"]["result"]
    assert opensearch.ask("GET", "/_resolve/index/*") == before
    for target in targets(platform):
        trace_id = found[f"span to {target.name}"]["traceId"]
        await eventually(partial(has, target, trace_id))


def test_whoever_is_frozen_is_named_with_the_cure_in_time_and_the_server_is_alive(platform: Platform) -> None:
    for server in platform.servers.values():
        server.pause()
    try:
        found = findings(platform.replica, 1)
    finally:
        for server in platform.servers.values():
            server.resume()
    for name in platform.servers:
        assert found[name]["state"] == "failed"
        assert re.search("in time|within|Timeout", found[name]["result"])
        assert re.search("TRACING_CONFIG_[A-Z_]*URL", found[name]["cure"])
    assert found["server"]["state"] == "ok"
    assert sum(finding["seconds"] for finding in found.values()) < 20

"""A real Zipkin and a real Jaeger: they answer as their stand-ins do, and the doctor's span is found in them."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from server.integrations.dependency import Dependency
from server.settings import read_settings
from server.surroundings import Surroundings
from tests.e2e.replica import ROOT, Replica
from tests.services.jaeger import JaegerServer
from tests.services.zipkin import ZipkinServer
from tests.waiting import eventually


def has(server: ZipkinServer | JaegerServer, trace_id: str) -> bool:
    return bool(server.spans(trace_id))


async def looked_at(setting: str, url: str) -> Dependency:
    """The dependency, after it was asked once."""
    surroundings = Surroundings(read_settings({f"TRACING_CONFIG_{setting}": url}))
    (dependency,) = surroundings.dependencies
    await dependency.look()
    await surroundings.close()
    return dependency


def doctor(folder: Path, **settings: str) -> dict[str, Any]:
    """What it finds beside a server with these settings, by what it looks at. All must be well."""
    with Replica(folder, **settings) as replica:
        command = [sys.executable, "-m", "server", "doctor"]
        options: dict[str, Any] = {"cwd": ROOT, "env": replica.environment, "capture_output": True, "text": True}
        done = subprocess.run([*command, "--json"], timeout=60, check=False, **options)
        table = subprocess.run([*command, "--no-spans"], timeout=60, check=False, **options)
    print(table.stdout)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert table.returncode == 0
    return {finding["what"]: finding for finding in json.loads(done.stdout)["findings"]}


async def test_a_real_zipkin_is_up_with_its_storage_and_has_the_span(zipkin: ZipkinServer, tmp_path: Path) -> None:
    dependency = await looked_at("ZIPKIN_URL", zipkin.url)
    assert (dependency.problem, dependency.report()["details"]["storage"]) == (None, "InMemoryStorage")
    found = doctor(tmp_path, TRACING_CONFIG_ZIPKIN_URL=zipkin.url)
    trace_id = found["span to zipkin"]["traceId"]
    await eventually(partial(has, zipkin, trace_id))
    (span,) = zipkin.spans(trace_id)
    assert (span["name"], span["localEndpoint"]["serviceName"]) == ("tracing-config doctor", "tracing-config-doctor")
    assert (span["tags"], span["debug"]) == ({"tracing_config.doctor": "true"}, True)


async def test_a_real_zipkin_is_no_receiver_of_otlp(zipkin: ZipkinServer) -> None:
    dependency = await looked_at("JAEGER_URL", zipkin.url)
    assert "answers 404" in (dependency.problem or "")
    assert "TRACING_CONFIG_JAEGER_URL" in dependency.cure


async def test_a_real_jaeger_is_up_and_has_the_spans_of_both_protocols(jaeger: JaegerServer, tmp_path: Path) -> None:
    dependency = await looked_at("JAEGER_URL", jaeger.url)
    assert (dependency.problem, dependency.up) == (None, True)
    found = doctor(tmp_path, TRACING_CONFIG_JAEGER_URL=jaeger.url, TRACING_CONFIG_ZIPKIN_URL=jaeger.zipkin_url)
    for target in ("jaeger", "zipkin"):
        trace_id = found[f"span to {target}"]["traceId"]
        await eventually(partial(has, jaeger, trace_id))
        (span,) = jaeger.spans(trace_id)
        assert (span["operationName"], span["service"]) == ("tracing-config doctor", "tracing-config-doctor")
        assert "tracing_config.doctor" in {tag["key"] for tag in span["tags"]}


async def test_other_ports_of_a_real_jaeger_are_told_from_that_for_spans(jaeger: JaegerServer) -> None:
    dependency = await looked_at("JAEGER_URL", jaeger.query_url)
    assert "no receiver of OTLP" in (dependency.problem or "")
    dependency = await looked_at("ZIPKIN_URL", jaeger.query_url)
    assert not dependency.up

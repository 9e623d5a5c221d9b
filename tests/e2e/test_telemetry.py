"""What a service needs at its start, over the API and from the command line."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.e2e.certificates import Authority
from tests.e2e.command_line import FAILED, Run, environment, runner
from tests.e2e.replica import ROOT, Replica
from tests.services.http_stand_in import Reply, StandIn

HALF = {"type": "probabilistic", "param": 0.5}
TARGETS = {"TRACING_CONFIG_JAEGER_URL": "http://jaeger:4318", "TRACING_CONFIG_ZIPKIN_URL": "http://zipkin:9411/"}


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    with Replica(tmp_path_factory.mktemp("telemetry"), **TARGETS) as replica:
        yield replica


@pytest.fixture
def run(replica: Replica) -> Run:
    return runner(replica)


def ask(replica: Replica, name: str, host: str | None = None, **query: str) -> httpx.Response:
    headers = {} if host is None else {"Host": host}
    return replica.api("GET", f"/services/{quote(name, safe='')}/telemetry", params=query, headers=headers)


def told(replica: Replica, name: str) -> dict[str, str]:
    found: dict[str, str] = ask(replica, name).json()["environment"]
    return found


def test_a_name_that_nobody_configured_is_told_every_target_of_the_platform(replica: Replica) -> None:
    answer = ask(replica, "nobody")
    assert answer.status_code == 200
    assert answer.json() == {
        "service": "nobody",
        "revision": answer.json()["revision"],
        "point": answer.json()["point"],
        "environment": {
            "OTEL_SERVICE_NAME": "nobody",
            "OTEL_TRACES_SAMPLER": "parentbased_jaeger_remote",
            "OTEL_TRACES_SAMPLER_ARG": f"endpoint=http://{replica.grpc_address},pollingIntervalMs=60000,initialSamplingRate=0.001",
            "OTEL_TRACES_EXPORTER": "otlp,zipkin",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://jaeger:4318/v1/traces",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_ZIPKIN_ENDPOINT": "http://zipkin:9411/api/v2/spans",
        },
        "warnings": [],
    }


def test_a_record_says_where_spans_go_unless_it_is_disabled(replica: Replica) -> None:
    own: dict[str, Any] = {"jaeger": {"enabled": True, "endpoint": "http://own:4318"}}
    assert replica.api("PUT", "/services/own", json={"samplingStrategy": HALF, "exportConfig": own}).status_code == 200
    found = told(replica, "own")
    assert (found["OTEL_TRACES_EXPORTER"], found["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]) == ("otlp", "http://own:4318/v1/traces")
    assert found["OTEL_TRACES_SAMPLER_ARG"].endswith(",initialSamplingRate=0.5")
    assert "OTEL_EXPORTER_ZIPKIN_ENDPOINT" not in found
    assert replica.api("PUT", "/services/own", json={"exportConfig": own, "enabled": False}).status_code == 200
    assert told(replica, "own")["OTEL_TRACES_EXPORTER"] == "otlp,zipkin"


def test_the_lines_say_what_the_json_says(replica: Replica) -> None:
    answer = ask(replica, "it's a service", format="env")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text.endswith("\n")
    assert dict(shlex.split(line)[0].split("=", 1) for line in answer.text.splitlines()) == told(replica, "it's a service")


def test_what_is_missing_is_a_warning_and_a_comment(tmp_path: Path) -> None:
    with Replica(tmp_path) as replica:
        replica.api("PUT", "/services/a", json={"exportConfig": {"zipkin": {"enabled": True}}})
        (warning,) = ask(replica, "a").json()["warnings"]
        assert warning.startswith("exportConfig.zipkin is enabled but has no endpoint")
        comment, *lines = ask(replica, "a", format="env").text.splitlines()
        assert comment == f"# {warning}"
        assert "OTEL_TRACES_EXPORTER=none" in lines
        result = runner(replica)("env", "a", "--dotenv")
        assert (result.stderr, result.stdout.splitlines()) == (f"warning: {warning}\n", lines)


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("tracing-config.infrastructure:8093", "tracing-config.infrastructure"),
        ("10.0.0.7", "10.0.0.7"),
        ("[2001:db8::7]:8093", "[2001:db8::7]"),
    ],
)
def test_services_poll_at_the_host_at_which_they_asked(replica: Replica, host: str, named: str) -> None:
    argument = ask(replica, "a", host).json()["environment"]["OTEL_TRACES_SAMPLER_ARG"]
    port = replica.grpc_address.rpartition(":")[2]
    assert argument.startswith(f"endpoint=http://{named}:{port},pollingIntervalMs=")


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a b",
        "a,initialSamplingRate=1",
        "a=b",
        "$(touch ran)",
        "a'b",
        'a"',
        "user@a",
        "a:b",
        "a/b",
        "[::1",
        "x" * 254,
        "a:999999",
    ],
)
def test_a_host_that_is_none_is_refused(replica: Replica, host: str) -> None:
    refused = ask(replica, "a", host)
    assert refused.status_code == 400
    assert "TRACING_CONFIG_POLL_URL" in refused.json()["detail"]


def test_the_setting_says_where_to_poll_whatever_the_host(tmp_path: Path) -> None:
    with Replica(tmp_path, TRACING_CONFIG_POLL_URL="https://polls.example.org:443/") as replica:
        for host in ("elsewhere", "$(x)"):
            argument = ask(replica, "a", host).json()["environment"]["OTEL_TRACES_SAMPLER_ARG"]
            assert argument.startswith("endpoint=https://polls.example.org:443,pollingIntervalMs=")


@pytest.mark.parametrize("name", ["a\nOTEL_X=y", "a\0", "\x7f", "x" * 1025, b"\xff"])
def test_a_name_that_no_variable_can_hold_is_refused(replica: Replica, name: str | bytes) -> None:
    refused = replica.api("GET", f"/services/{quote(name, safe='')}/telemetry")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "service"


def test_a_name_that_no_line_can_hold_is_told_as_json_only(replica: Replica, run: Run) -> None:
    assert told(replica, "$(touch ran)")["OTEL_SERVICE_NAME"] == "$(touch ran)"
    refused = ask(replica, "$(touch ran)", format="env")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "format")
    assert "--json" in run("env", "$(touch ran)", code=FAILED).stderr
    assert json.loads(run("env", "$(touch ran)", "--json").stdout) == ask(replica, "$(touch ran)").json()


def test_a_format_that_is_none_is_refused(replica: Replica) -> None:
    refused = ask(replica, "a", format="xml")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "format")


def test_nobody_is_told_without_a_token(replica: Replica) -> None:
    assert httpx.get(f"{replica.sidecar_url}/api/v1/config/services/a/telemetry").status_code == 401


def test_a_shell_takes_the_command_s_output_as_it_is(replica: Replica, tmp_path: Path) -> None:
    """As the documents say it: evaluated, and as a file."""
    command = f"'{sys.executable}' -m server env"
    show = f"exec '{sys.executable}' -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    for name in ("checkout", "it's; touch ran #1"):
        for script in (
            f'eval "$({command} "$0")"; {show}',
            f'{command} "$0" --dotenv > "{tmp_path}/file.env" && set -a && . "{tmp_path}/file.env" && {show}',
        ):
            done = subprocess.run(
                ["sh", "-c", script, name],
                cwd=ROOT,
                env={"PATH": "/usr/bin:/bin", **environment(replica)},
                capture_output=True,
                check=True,
            )
            assert done.stderr == b""
            expected = told(replica, name)
            assert {key: value for key, value in json.loads(done.stdout).items() if key.startswith("OTEL_")} == expected
    assert not (ROOT / "ran").exists()


@pytest.mark.parametrize(
    "variables", [{"PATH": "/evil"}, {"OTEL_X": "$(touch ran)"}, {"OTEL_X": "a\ntouch ran"}, {"OTEL_X;id": "a"}]
)
def test_nothing_of_another_server_s_answer_is_printed_for_a_shell(run: Run, variables: dict[str, str]) -> None:
    answer = json.dumps({"environment": variables, "warnings": ["\x1b[2J"]}).encode()
    with StandIn(lambda _: Reply(body=answer)) as server:
        result = run("env", "a", "--url", server.url, code=FAILED)
    assert result.stdout == ""
    assert "\x1b" not in result.stderr


def test_where_polls_need_tls_services_are_told_https(tmp_path: Path) -> None:
    issued = Authority(tmp_path).server(tmp_path / "server")
    certificate = {"TRACING_CONFIG_POLL_TLS_CERT": str(issued.cert), "TRACING_CONFIG_POLL_TLS_KEY": str(issued.key)}
    with Replica(tmp_path / "data", **certificate) as replica:
        argument = told(replica, "a")["OTEL_TRACES_SAMPLER_ARG"]
    assert argument.startswith(f"endpoint=https://{replica.grpc_address},")

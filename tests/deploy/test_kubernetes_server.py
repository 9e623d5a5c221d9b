"""The server as the container starts it: with its environment and its mounted files, asked what the cluster asks it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from server.setting_reader import SettingError
from server.settings import read_settings
from tests.deploy.kubernetes import COMPOSITIONS, FOLDER, Manifests, copy, render
from tests.deploy.kubernetes_container import CERTIFICATE, SECRETS, Container
from tests.e2e.certificates import Authority
from tests.e2e.replica import PLAIN, Replica
from tests.services.local_server import free_port

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def started(manifests: Manifests, folder: Path, secrets: Mapping[str, Mapping[str, str]]) -> Replica:
    """The server that a container of the Deployment is, on free ports."""
    settings = Container(manifests, manifests.server, folder, secrets).environment
    return Replica(Path(settings["TRACING_CONFIG_DATA_DIR"]), **settings)


def asked(replica: Replica, manifests: Manifests, probe: str) -> int:
    """The status that the kubelet gets for a probe."""
    container = manifests.server.containers[0]
    request = container[probe]["httpGet"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    scheme, address = {8093: replica.sidecar_url, 9090: replica.metrics_url}[ports[request["port"]]].split("://")
    assert request.get("scheme", "HTTP").lower() == scheme
    return httpx.get(f"{scheme}://{address}{request['path']}", timeout=5, **PLAIN).status_code


@pytest.fixture(scope="module")
def sqlite() -> Manifests:
    return render(FOLDER, COMPOSITIONS["sqlite-single"])


@pytest.fixture(scope="module")
def replica(sqlite: Manifests, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    container = Container(sqlite, sqlite.server, tmp_path_factory.mktemp("pod"), {}).environment
    settings = {name: value for name, value in container.items() if name != "TRACING_CONFIG_DRAIN_SECONDS"}
    # Its container sets no admin token.
    with Replica(Path(settings["TRACING_CONFIG_DATA_DIR"]), **settings, TRACING_CONFIG_ADMIN_TOKEN="") as running:
        yield running


def test_a_running_server_answers_every_probe(sqlite: Manifests, replica: Replica) -> None:
    assert [asked(replica, sqlite, probe) for probe in PROBES] == [200, 200, 200]


def test_the_admin_token_is_where_the_documentation_says(replica: Replica) -> None:
    assert (replica.data_dir / "admin-token").is_file()
    assert replica.data_dir.parts[-2:] == ("app", "data")


def test_a_mounted_strategies_file_is_served(replica: Replica) -> None:
    assert replica.health()["components"]["strategiesFile"]["status"] == "UP"
    assert replica.rate("anything") == pytest.approx(0.001)


def test_prometheus_finds_metrics_where_the_monitor_says(replica: Replica) -> None:
    monitor = render(FOLDER, COMPOSITIONS["production"]).one("ServiceMonitor", "tracing-config")
    (endpoint,) = monitor["spec"]["endpoints"]
    response = httpx.get(f"{replica.metrics_url}{endpoint['path']}", timeout=5, **PLAIN)
    assert response.status_code == 200
    assert "tracing_config_revision" in response.text


@pytest.mark.parametrize(
    ("right", "wrong"), [("path: /actuator/health/liveness", "path: /actuator/health/live"), ("port: sidecar", "port: metrics")]
)
def test_a_wrong_probe_is_found(tmp_path: Path, replica: Replica, right: str, wrong: str) -> None:
    tree = copy(tmp_path)
    file = tree / "base" / "deployment.yaml"
    file.write_text(file.read_text().replace(right, wrong))
    manifests = render(tree, COMPOSITIONS["sqlite-single"])
    assert asked(replica, manifests, "livenessProbe") != 200


def test_a_replica_with_neither_database_nor_copy_is_not_ready_and_not_killed(tmp_path: Path) -> None:
    manifests = render(FOLDER, COMPOSITIONS["base"])
    nowhere = f"127.0.0.1:{free_port()}"
    secret = SECRETS | {"database-url": f"postgresql://user@{nowhere}/database", "redis-url": f"redis://{nowhere}"}
    replica = started(manifests, tmp_path, {"tracing-secrets": secret})
    del replica.environment["TRACING_CONFIG_ADMIN_TOKEN"]  # It comes from the mounted file.
    try:
        replica.start(ready=False)
        assert [asked(replica, manifests, probe) for probe in PROBES] == [200, 200, 503]
    finally:
        replica.kill()


def test_with_a_certificate_probes_and_polls_are_over_tls(tmp_path: Path) -> None:
    manifests = render(copy(tmp_path), COMPOSITIONS["sqlite-single+tls"])
    authority = Authority(tmp_path / "authority")
    issued = authority.server(tmp_path / "issued")
    secret = {"tls.crt": issued.cert.read_text(), "tls.key": issued.key.read_text(), "ca.crt": authority.pem.decode()}
    assert secret.keys() == CERTIFICATE.keys()
    with started(manifests, tmp_path / "pod", {"tracing-config-tls": secret}).trusted(authority.context()) as replica:
        assert [asked(replica, manifests, probe) for probe in PROBES] == [200, 200, 200]
        assert replica.http_url.startswith("https://")
        assert replica.poll_http("anything")["probabilisticSampling"]["samplingRate"] == pytest.approx(0.001)


def template() -> dict[str, Any]:
    secret: dict[str, Any] = yaml.safe_load((FOLDER / "secret.example.yaml").read_text())
    return secret


def test_the_template_has_the_keys_of_the_secret() -> None:
    secret = template()
    assert (secret["metadata"]["name"], secret["metadata"]["namespace"]) == ("tracing-secrets", "exalt-shared")
    assert secret["stringData"].keys() == SECRETS.keys()


@pytest.mark.parametrize(
    ("key", "setting"),
    [
        ("database-url", "TRACING_CONFIG_DATABASE_URL_FILE"),
        ("redis-url", "TRACING_CONFIG_REDIS_URL_FILE"),
        ("admin-token", "TRACING_CONFIG_ADMIN_TOKEN_FILE"),
        ("jwt-secret", "TRACING_CONFIG_JWT_SECRETS_FILE"),
    ],
)
def test_the_program_refuses_a_placeholder_of_the_template(tmp_path: Path, key: str, setting: str) -> None:
    manifests = render(FOLDER, COMPOSITIONS["base"])
    secret = SECRETS | {key: template()["stringData"][key]}
    environment = Container(manifests, manifests.server, tmp_path, {"tracing-secrets": secret}).environment
    with pytest.raises(SettingError, match=setting):
        read_settings(environment)

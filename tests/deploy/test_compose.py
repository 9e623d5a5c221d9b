"""The compose file is valid, and agrees with the program, the image and itself."""

import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from server.polls.interface import GRACE_SECONDS as IN_FLIGHT_SECONDS
from server.settings import PREFIX, Settings, read_settings
from server.sidecar.actuator import METRICS_ROUTES
from server.sidecar.app import GRACE_SECONDS
from tests.deploy.dockerfile import ROOT, environment, of_image

FILE = ROOT / "deploy" / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
REPLICAS = {name: service for name, service in SERVICES.items() if "build" in service}
COMMAND_LINE = {"TRACING_CONFIG_TOKEN"}
"""What only the commands read."""

each_service = pytest.mark.parametrize("name", SERVICES)
each_replica = pytest.mark.parametrize("name", REPLICAS)


def interpolated(value: str) -> str:
    """What compose makes of it when none of its variables is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def check_schema(file: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_it_follows_the_compose_specification(tmp_path: Path) -> None:
    checked = check_schema(FILE)
    assert checked.returncode == 0, checked.stdout
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(FILE.read_text().replace("stop_grace_period:", "stop_grace_time:"))
    assert "stop_grace_time" in check_schema(wrong).stdout


def test_no_two_services_publish_one_port_and_all_only_on_this_machine() -> None:
    published = [port.split(":") for service in SERVICES.values() for port in service.get("ports", [])]
    assert {address for address, _, _ in published} == {"127.0.0.1"}
    host_ports = [port for _, port, _ in published]
    assert sorted(set(host_ports)) == sorted(host_ports)


@each_service
def test_an_image_has_an_explicit_tag(name: str) -> None:
    repository, colon, tag = SERVICES[name]["image"].rpartition(":")
    assert (bool(repository), colon, tag == "latest") == (True, ":", False)


@each_service
def test_a_service_is_started_again_and_has_bounds(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    assert "healthcheck" in service or name == "example"


@each_service
def test_what_a_service_waits_for_is_there_and_can_say_that_it_is_healthy(name: str) -> None:
    for other, terms in SERVICES[name].get("depends_on", {}).items():
        assert terms == {"condition": "service_healthy"}
        assert "healthcheck" in SERVICES[other]


@each_service
def test_a_volume_has_a_name_and_is_declared(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        assert volume.split(":")[0] in COMPOSE["volumes"]


def configuration(name: str) -> Any:
    """What a declared configuration says, here or in a file beside this one (JSON is YAML too)."""
    declared = COMPOSE["configs"][name]
    assert len(declared) == 1
    text = declared["content"] if "content" in declared else (FILE.parent / declared["file"]).read_text()
    return yaml.load(text, yaml.CSafeLoader)


@each_service
def test_a_mounted_configuration_is_declared_and_whole(name: str) -> None:
    for mounted in SERVICES[name].get("configs", []):
        assert configuration(mounted["source"])


def test_every_declared_configuration_is_mounted_once() -> None:
    mounted = [one["source"] for service in SERVICES.values() for one in service.get("configs", [])]
    assert sorted(mounted) == sorted(COMPOSE["configs"])


@each_service
def test_a_secret_is_a_variable_whose_default_says_that_it_is_none(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if re.search("PASSWORD|TOKEN|SECRET", variable) or "@" in value:
            assert re.search(r"\$\{[A-Z_]+:-local-development-only\}", value), variable


@each_service
def test_an_address_is_that_of_another_service(name: str) -> None:
    service = SERVICES[name]
    texts = [*map(str, service.get("command", [])), *map(str, service.get("environment", {}).values())]
    for url in re.findall(r"\w+://\S+", " ".join(map(interpolated, texts))):
        host = urlsplit(url).hostname
        aliases = [alias for one in REPLICAS.values() for alias in one["networks"]["default"]["aliases"]]
        assert host in {*SERVICES, *aliases}


def test_there_are_two_replicas_of_one_image_that_share_nothing_but_the_stores() -> None:
    first, second = REPLICAS.values()
    assert {name for name in first if first[name] != second[name]} == {"volumes", "ports"}
    data = environment()["TRACING_CONFIG_DATA_DIR"]
    assert [[volume.split(":")[1] for volume in one["volumes"]] for one in (first, second)] == [[data], [data]]
    assert first["volumes"] != second["volumes"]


@each_replica
def test_a_replica_gets_settings_that_exist_with_values_they_can_have(name: str) -> None:
    given = {variable: interpolated(value) for variable, value in REPLICAS[name]["environment"].items()}
    settings = read_settings({**environment(), **given})
    used = {source.variable for source in settings.sources.values()}
    assert set(given) - used <= COMMAND_LINE
    assert given["TRACING_CONFIG_TOKEN"] == settings.admin_token
    assert (settings.database_url or "").endswith("@postgres-service:5432/tracing_config_db")


def test_the_replicas_use_the_database_as_it_is_made() -> None:
    made = SERVICES["postgres-service"]["environment"]
    used = urlsplit(next(iter(REPLICAS.values()))["environment"]["TRACING_CONFIG_DATABASE_URL"])
    assert used.netloc.startswith(f"{made['POSTGRES_USER']}:{made['POSTGRES_PASSWORD']}@")
    assert used.path == f"/{made['POSTGRES_DB']}"


@each_replica
def test_every_port_of_a_replica_is_published(name: str) -> None:
    settings = Settings()
    ports = [*settings.grpc_ports, *settings.http_ports, settings.sidecar_port, settings.metrics_port]
    assert [int(port.split(":")[2]) for port in REPLICAS[name]["ports"]] == ports


@each_replica
def test_a_replica_is_checked_as_its_image_says_and_ends_in_order(name: str) -> None:
    replica = REPLICAS[name]
    (check,) = of_image("HEALTHCHECK")
    assert check.text.startswith("CMD [")
    assert replica["healthcheck"]["test"][0] == "CMD"
    assert str(replica["healthcheck"]["test"][1:]).replace("'", '"') == check.text.removeprefix("CMD ")
    # The library waits twice as long for an answer of the configuration API that nobody reads.
    stop = read_settings(environment()).drain_seconds + IN_FLIGHT_SECONDS + 2 * GRACE_SECONDS
    assert float(replica["stop_grace_period"].removesuffix("s")) > stop


@each_replica
def test_a_replica_may_write_where_its_image_lets_it_and_nowhere_else(name: str) -> None:
    replica = REPLICAS[name]
    (user,) = of_image("USER")
    number = user.text.split(":")[0]
    assert (replica["read_only"], replica["cap_drop"]) == (True, ["ALL"])
    assert replica["security_opt"] == ["no-new-privileges:true"]
    assert replica["tmpfs"] == ["/tmp", f"/app/logs:uid={number},gid={number},mode=0750"]


def test_the_example_polls_the_replicas() -> None:
    (option,) = [word for word in SERVICES["example"]["command"] if word.startswith("-adaptive-sampling=")]
    url = urlsplit(option.partition("=")[2])
    assert all(url.hostname in one["networks"]["default"]["aliases"] for one in REPLICAS.values())
    assert url.port in Settings().http_ports
    assert url.path == "/sampling"


def test_prometheus_reads_the_metrics_of_every_replica() -> None:
    (job,) = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])["scrape_configs"]
    assert job["job_name"] == "tracing-config"
    assert job["static_configs"] == [{"targets": [f"{name}:{Settings().metrics_port}" for name in REPLICAS]}]
    assert job.get("metrics_path", "/metrics") in {route.path for route in METRICS_ROUTES}


def mounted_at(service: str) -> dict[str, str]:
    """The declared configurations of a service by their path in it."""
    return {one["target"]: one["source"] for one in SERVICES[service]["configs"]}


def test_prometheus_has_the_alerts() -> None:
    (path,) = configuration("prometheus")["rule_files"]
    source = mounted_at("prometheus")[path]
    assert (FILE.parent / COMPOSE["configs"][source]["file"]) == ROOT / "deploy" / "prometheus" / "alerts.yaml"


def test_grafana_shows_the_dashboard_first_and_finds_prometheus() -> None:
    mounted = mounted_at("grafana")
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    dashboard = configuration(mounted[home])
    (provider,) = [
        one
        for path, source in mounted.items()
        if path.startswith("/etc/grafana/provisioning/dashboards/")
        for one in configuration(source)["providers"]
    ]
    assert (provider["type"], provider["options"]["path"]) == ("file", str(PurePosixPath(home).parent))
    (source,) = configuration("grafana-datasources")["datasources"]
    (wanted,) = [one["query"] for one in dashboard["templating"]["list"] if one["type"] == "datasource"]
    assert (source["type"], source["isDefault"]) == (wanted, True)
    assert urlsplit(source["url"]).hostname in SERVICES
    (job,) = [one["current"]["value"] for one in dashboard["templating"]["list"] if one["name"] == "job"]
    assert job == configuration("prometheus")["scrape_configs"][0]["job_name"]


def test_every_variable_can_be_set_under_the_name_that_the_file_tells() -> None:
    text = FILE.read_text()
    used = set(re.findall(r"\$\{(\w+)", text))
    assert used == {"POSTGRES_PASSWORD", f"{PREFIX}ADMIN_TOKEN", "GRAFANA_ADMIN_PASSWORD"}
    told = text.partition("\nname:")[0]
    assert all(name in told for name in used)

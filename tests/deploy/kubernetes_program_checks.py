"""What the manifests say of the program, compared with the program. A check fails with an AssertionError that names what is
wrong."""

import shlex
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from typer.testing import CliRunner

from server import tls_listener
from server.cli.commands import commands
from server.cli.file_check import check_file
from server.polls import interface as polls
from server.setting_reader import SettingError
from server.settings import Settings, read_settings
from server.sidecar import app as sidecar
from tests.deploy.kubernetes import Manifests, name_of, selects
from tests.deploy.kubernetes_container import TOKEN, Container

DATABASE_NAMESPACE = "infrastructure"

STORE_SECONDS = 10.0
"""More than stores and copies take at a stop: they close their connections and write at most one copy."""


def settings_of(manifests: Manifests) -> Settings:
    """What the server is told by its container."""
    with TemporaryDirectory() as folder:
        return read_settings(Container(manifests, manifests.server, Path(folder)).environment)


def ports(manifests: Manifests) -> None:
    """The program listens where probes, Services and policies say."""
    container = manifests.server.containers[0]
    named = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert max(map(len, named)) <= 15, "a port's name has at most 15 characters"
    settings = settings_of(manifests)
    open_ports = [*settings.grpc_ports, *settings.http_ports, settings.sidecar_port, settings.metrics_port]
    assert sorted(named.values()) == sorted(open_ports)
    assert named.get("sidecar") == settings.sidecar_port
    assert named.get("metrics") == settings.metrics_port
    for service in manifests.of("Service"):
        for port in service["spec"]["ports"]:
            assert named.get(port["targetPort"]) == port["port"], f"{name_of(service)}: port {port['name']} leads nowhere"
    policy = manifests.one("NetworkPolicy", "tracing-config")["spec"]
    let_in = [port["port"] for rule in policy["ingress"] for port in rule["ports"]]
    assert sorted(let_in) == sorted(open_ports), "the network policy and the program differ in their ports"


def egress(manifests: Manifests) -> None:
    """Whoever is given the address of another server is let out to it; who is given none is let out nowhere."""
    for pod in manifests.pods:
        (policy,) = (one for one in manifests.of("NetworkPolicy") if selects(one["spec"]["podSelector"], pod))
        out = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
        with TemporaryDirectory() as folder:
            environment = Container(manifests, pod, Path(folder)).environment
            files = [Path(value) for name, value in environment.items() if name.endswith("_URL_FILE")]
            needed = {urlsplit(file.read_text()).port for file in files}
            addresses = environment.items() - {("TRACING_CONFIG_POLL_URL", environment.get("TRACING_CONFIG_POLL_URL"))}
            needed |= {urlsplit(value).port for name, value in addresses if name.endswith("_URL")}
        needed |= {53} if needed else set()
        needed |= {443} if "--upload" in pod.containers[0].get("args", ()) else set()
        assert needed == out - {5353}, f"{pod.owner} needs {needed} and may reach {out}"
        for rule in (rule for rule in policy["spec"]["egress"] if {"port": 5432} in rule["ports"]):
            assert rule["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": DATABASE_NAMESPACE}}}]
            # The address names a Service of that namespace without it.
            assert f"{DATABASE_NAMESPACE}.svc.cluster.local" in pod.spec["dnsConfig"]["searches"]


def environment(manifests: Manifests) -> None:
    """The program takes the container's environment, with the mounted files, and reads every variable of it."""
    for pod in manifests.pods:
        with TemporaryDirectory() as folder:
            given = Container(manifests, pod, Path(folder)).environment
            needed = {} if "TRACING_CONFIG_ADMIN_TOKEN_FILE" in given else {"TRACING_CONFIG_ADMIN_TOKEN": TOKEN}
            try:
                settings = read_settings({**needed, **given})
            except SettingError as error:
                raise AssertionError(f"{pod.owner}: {error}") from None
            used = {source.variable for source in settings.sources.values()} - needed.keys()
            assert used == given.keys(), f"{pod.owner}: the program does not know {given.keys() - used}"
            for name, value in given.items():
                assert not value.startswith(folder) or Path(value).exists(), f"{pod.owner}: {name} leads to nothing"


def strategies(manifests: Manifests) -> None:
    """The program serves the strategies file as it is: no error, no warning."""
    for config_map in manifests.of("ConfigMap"):
        with TemporaryDirectory() as folder:
            for name, content in config_map["data"].items():
                file = Path(folder) / name
                file.write_text(content)
                found = check_file(file)
                assert found.valid, f"{name}: {found.problems}"
                assert not found.warnings, f"{name}: {found.warnings}"


def stop(manifests: Manifests) -> None:
    """Nobody is killed while the program stops in its own time."""
    spec = manifests.server.spec
    settings = settings_of(manifests)
    poll_ports = len(settings.grpc_ports) + len(settings.http_ports)
    seconds = settings.drain_seconds + polls.GRACE_SECONDS + poll_ports * tls_listener.GRACE_SECONDS
    # Sidecar and metrics one after the other; the library waits twice as long for a client that reads nothing.
    seconds += 2 * (2 * sidecar.GRACE_SECONDS + tls_listener.GRACE_SECONDS)
    assert settings.drain_seconds >= 5, "load balancers need a moment to notice"
    assert spec["terminationGracePeriodSeconds"] >= seconds + STORE_SECONDS, f"a stop may take {seconds} s"


def variables_of_services(manifests: Manifests) -> None:
    """What Kubernetes puts into pods beside our Services is no setting of the program."""
    for service in manifests.of("Service"):
        name = service["metadata"]["name"].upper().replace("-", "_")
        port = service["spec"]["ports"][0]["port"]
        injected = {
            f"{name}_SERVICE_HOST": "10.0.0.1",
            f"{name}_SERVICE_PORT": str(port),
            f"{name}_PORT": f"tcp://10.0.0.1:{port}",
        }
        for one in service["spec"]["ports"]:
            injected[f"{name}_SERVICE_PORT_{one['name'].upper().replace('-', '_')}"] = str(one["port"])
            for part, value in (("", "tcp://10.0.0.1"), ("_PROTO", "tcp"), ("_PORT", str(one["port"])), ("_ADDR", "10.0.0.1")):
                injected[f"{name}_PORT_{one['port']}_TCP{part}"] = value
        try:
            assert not read_settings(injected).sources, name_of(service)
        except SettingError as error:
            raise AssertionError(f"{name_of(service)}: {error}") from None


def arguments(manifests: Manifests) -> None:
    """The program's command line takes what containers give it."""
    for container in (container for pod in manifests.pods for container in pod.containers if "command" in container):
        words = [*container["command"], *container["args"]]
        assert words[0] == "tracing-config", words
        result = CliRunner().invoke(commands, [*words[1:], "--help"])
        assert result.exit_code == 0, f"{shlex.join(words)}: {result.output}"


CHECKS = (ports, egress, environment, strategies, stop, variables_of_services, arguments)

"""What operators type: the names of the operations guide, its patches, and the commands and files of docs/kubernetes.md."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.kubernetes import COMPOSITIONS, FOLDER, KUBECTL, ROOT, Composition, Manifests, copy, kubectl, render
from tests.deploy.kubernetes_container import SECRETS

PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
BLOCKS = {language: re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) for language in ("bash", "yaml")}
COMMANDS = "".join(BLOCKS["bash"])


@pytest.fixture(scope="module")
def production() -> Manifests:
    return render(FOLDER, COMPOSITIONS["production"])


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Namespace", "exalt-shared"),
        ("Deployment", "tracing-config"),
        ("Service", "tracing-config"),
        ("Service", "tracing-config-polls"),
        ("ConfigMap", "tracing-config"),
        ("HorizontalPodAutoscaler", "tracing-config-hpa"),
        ("ServiceAccount", "tracing-config-sa"),
        ("Role", "tracing-config-role"),
        ("Certificate", "tracing-config-tls"),
        ("Ingress", "tracing-config"),
    ],
)
def test_what_the_guide_names_is_there(production: Manifests, kind: str, name: str) -> None:
    assert production.has(kind, name)


def test_the_figures_are_those_of_the_guide(production: Manifests) -> None:
    container = production.server.containers[0]
    assert container["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"cpu": "2000m", "memory": "4Gi"},
    }
    scaler = production.one("HorizontalPodAutoscaler", "tracing-config-hpa")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 10)
    targets = {metric["resource"]["name"]: metric["resource"]["target"] for metric in scaler["metrics"]}
    assert targets == {
        "cpu": {"type": "Utilization", "averageUtilization": 70},
        "memory": {"type": "Utilization", "averageUtilization": 80},
    }
    assert scaler["behavior"] == {
        "scaleDown": {
            "stabilizationWindowSeconds": 300,
            "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}],
        },
        "scaleUp": {
            "stabilizationWindowSeconds": 60,
            "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
        },
    }
    assert [port["port"] for port in production.one("Service", "tracing-config")["spec"]["ports"]] == [
        8093, 9090, 14250, 5779, 5778,
    ]  # fmt: skip
    rule = production.one("Ingress", "tracing-config")["spec"]["rules"][0]
    assert rule["host"] == "tracing-config.exalt.com"
    certificates = production.server.volumes["certificates"]["projected"]["sources"][0]["secret"]["items"]
    assert {item["key"]: item["path"] for item in certificates} == {
        "tls.crt": "tracing-config.crt",
        "tls.key": "tracing-config.key",
    }


def patched(document: Mapping[str, Any], patch: str) -> dict[str, Any]:
    """What `kubectl patch` makes of a document, as the cluster would."""
    output = kubectl("patch", "--local", "-f", "-", "-p", patch, "-o", "json", text=json.dumps(document))
    found: dict[str, Any] = json.loads(output)
    return found


@pytest.mark.parametrize(
    "container",
    [
        {"env": [{"name": "LOG_LEVEL", "value": "DEBUG"}]},
        {"env": [{"name": "TRACING_CONFIG_DATABASE_POOL_MAX", "value": "50"}]},
        {"resources": {"requests": {"cpu": "1000m", "memory": "2Gi"}, "limits": {"cpu": "2000m", "memory": "4Gi"}}},
    ],
)
def test_a_patch_by_the_containers_name_changes_what_it_says_and_no_more(
    production: Manifests, container: dict[str, Any]
) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "tracing-config", **container}]}}}}
    before = production.one("Deployment", "tracing-config")
    after = patched(before, json.dumps(patch))
    (changed,) = after["spec"]["template"]["spec"]["containers"]
    kept = production.server.containers[0]
    assert changed["image"] == kept["image"]
    for entry in container.get("env", ()):
        assert entry in changed["env"]
    assert {entry["name"] for entry in kept["env"]} <= {entry["name"] for entry in changed["env"]}
    assert changed["resources"] == container.get("resources", kept["resources"])


def test_an_annotation_of_the_template_restarts_the_pods(production: Manifests) -> None:
    patch = {"spec": {"template": {"metadata": {"annotations": {"config-hash": "1764000000"}}}}}
    after = patched(production.one("Deployment", "tracing-config"), json.dumps(patch))
    template = after["spec"]["template"]["metadata"]
    assert template == {"annotations": {"config-hash": "1764000000"}, "labels": {"app": "tracing-config"}}


def commands(start: str) -> list[str]:
    """The commands of the page that begin so, each on one line."""
    lines = COMMANDS.replace("\\\n", " ").splitlines()
    found = [line for line in lines if line.startswith(start)]
    assert found, f"docs/kubernetes.md has no {start}"
    return found


def run(command: str, folder: Path, **variables: str) -> dict[str, Any]:
    """What a command that makes something would send."""
    script = f"{command.partition('|')[0]} --dry-run=client -o json"
    environment = {"PATH": f"{KUBECTL.parent}:/usr/bin:/bin", "HOME": str(folder), **variables}
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_documented_command_makes_the_whole_secret(tmp_path: Path) -> None:
    (command,) = commands("kubectl create secret generic")
    openssl = tmp_path / "openssl"
    openssl.write_text("#!/bin/sh\necho 0123456789abcdef0123456789abcdef\n")
    openssl.chmod(0o755)
    secret = run(command, tmp_path, PASSWORD="secret", PATH=f"{tmp_path}:{KUBECTL.parent}:/usr/bin:/bin")
    assert (secret["metadata"]["name"], secret["metadata"]["namespace"]) == ("tracing-secrets", "exalt-shared")
    assert secret["data"].keys() == SECRETS.keys()


def test_the_documented_command_writes_the_mounted_file(production: Manifests, tmp_path: Path) -> None:
    file = tmp_path / "config" / "sampling_strategies_new.json"
    file.parent.mkdir()
    shutil.copy(FOLDER / "base" / "sampling_strategies.json", file)
    made = [run(command.replace("--dry-run=client -o yaml", ""), tmp_path) for command in commands("kubectl create configmap")]
    assert [one["metadata"]["name"] for one in made] == ["tracing-config", "tracing-config-new"]
    mounted = production.one("ConfigMap", production.server.volumes["strategies"]["configMap"]["name"])
    for config_map in made:
        assert config_map["metadata"]["namespace"] == "exalt-shared"
        assert config_map["data"] == mounted["data"]


def test_the_documented_patch_mounts_the_other_file(production: Manifests) -> None:
    (command,) = commands("kubectl patch deployment")
    patch = shlex.split(command)[shlex.split(command).index("-p") + 1]
    before = production.one("Deployment", "tracing-config")["spec"]["template"]["spec"]
    after = patched(production.one("Deployment", "tracing-config"), patch)["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in after["volumes"]}
    assert volumes.pop("strategies") == {"name": "strategies", "configMap": {"name": "tracing-config-new"}}
    assert volumes == {volume["name"]: volume for volume in before["volumes"] if volume["name"] != "strategies"}


def test_an_overlay_as_documented_has_its_own_image_and_file(tmp_path: Path) -> None:
    tree = copy(tmp_path)
    folder = tree / "overlays" / "ours"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(BLOCKS["yaml"][0])
    (folder / "sampling_strategies.json").write_text('{"default_strategy": {"type": "probabilistic", "param": 0.5}}')
    manifests = render(tree, Composition("overlays/ours"))
    config_map = manifests.one("ConfigMap", "tracing-config")
    assert "0.5" in config_map["data"]["sampling_strategies.json"]
    assert config_map["metadata"]["labels"] == {"app": "tracing-config"}
    images = {container["image"] for pod in manifests.pods for container in pod.containers}
    assert images == {"registry.example.com/exalt/tracing-config:20261124"}


def test_what_is_removed_is_all_that_is_applied_but_the_namespace_and_the_data() -> None:
    (command,) = commands("kubectl delete")
    words = {word for part in shlex.split(command) for word in part.split(",")} | {"certificate", "issuer"}
    words |= {"prometheusrule", "servicemonitor"}
    words |= {"horizontalpodautoscaler"} if "hpa" in words else set()
    words |= {"poddisruptionbudget"} if "pdb" in words else set()
    applied = {document["kind"].lower() for name in ("production", "sqlite-single") for document in _documents(name)}
    assert applied - words == {"namespace", "persistentvolumeclaim"}


def _documents(name: str) -> Iterator[Mapping[str, Any]]:
    yield from render(FOLDER, COMPOSITIONS[name]).documents


def test_every_file_and_object_that_the_page_names_is_there(production: Manifests) -> None:
    for path in re.findall(r"deploy/kubernetes/[\w./-]+\w", PAGE):
        assert (ROOT / path).exists(), path
    named = set(re.findall(r"tracing-config-[\w-]+", PAGE)) | set(re.findall(r"(?:deployment|cronjob)/([\w-]+)", PAGE))
    there = {document["metadata"]["name"] for name in ("production", "sqlite-single") for document in _documents(name)}
    # Made by the operator, by a command on the page.
    made = {"tracing-config-new", "tracing-config-backup-now", "tracing-config-backup-"}
    assert named - there - made == set()
    assert yaml.safe_load(BLOCKS["yaml"][0])["kind"] == "Kustomization"

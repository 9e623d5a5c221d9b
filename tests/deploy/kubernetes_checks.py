"""What must hold of every rendering of the manifests. A check fails with an AssertionError that names what is wrong."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]

from tests.deploy.kubernetes import LABEL, NAMESPACE, ROOT, Manifests, name_of, selects
from tests.deploy.restricted_profile import violations

VERSIONS = ("1.27", "1.37")
"""Of Kubernetes: the oldest that knows every field, and the newest with schemas."""

CUSTOM = {"Certificate", "Issuer", "PrometheusRule", "ServiceMonitor"}

CLUSTER_WIDE = {"Namespace"}


def schemas(manifests: Manifests) -> None:
    """Every standard resource is as the API server wants it, with no field that it does not know."""
    for document in manifests.documents:
        if document["kind"] not in CUSTOM:
            problem = _schema_problem(json.dumps(document))
            assert problem is None, f"{name_of(document)}: {problem}"


def names(manifests: Manifests) -> None:
    """Everything is in the namespace and labelled, and no Secret is among it."""
    for document in manifests.documents:
        metadata = document["metadata"]
        assert document["kind"] != "Secret", "a Secret is part of what is applied, and would overwrite the real one"
        if document["kind"] in CLUSTER_WIDE:
            assert (metadata["name"], "namespace" in metadata) == (NAMESPACE, False)
            assert "app" not in metadata["labels"], "deleting by label would delete the namespace"
        else:
            assert metadata.get("namespace") == NAMESPACE, f"{name_of(document)} is not in {NAMESPACE}"
            assert metadata.get("labels", {}).get("app") == LABEL, f"{name_of(document)} has not the label app"
    deployment = manifests.one("Deployment", "tracing-config")
    assert [container["name"] for container in manifests.server.containers] == ["tracing-config"]
    assert deployment["spec"]["template"]["metadata"]["labels"] == {"app": LABEL}


def restricted(manifests: Manifests) -> None:
    """The namespace lets every pod in, with a root that cannot be written and no token."""
    for pod in manifests.pods:
        assert [*violations(pod)] == [], pod.owner
        assert pod.spec["securityContext"]["runAsUser"] == 65532
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["enableServiceLinks"] is False
        for container in pod.containers:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
            kinds = {kind for name in _mounted(container, writable) for kind in pod.volumes[name].keys() - {"name"}}
            assert kinds <= {"emptyDir", "persistentVolumeClaim"}, f"{pod.owner} can write in {kinds}"
            assert "/tmp" in writable
    assert {"/app/data", "/app/logs"} <= {mount["mountPath"] for mount in manifests.server.containers[0]["volumeMounts"]}


def references(manifests: Manifests) -> None:
    """What one resource says of another is so."""
    for pod in manifests.pods:
        account = pod.spec["serviceAccountName"]
        assert manifests.has("ServiceAccount", account), f"there is no service account {account}"
        for constraint in pod.spec.get("topologySpreadConstraints", ()):
            assert selects(constraint["labelSelector"], pod), f"{pod.owner} is spread by labels that it has not"
    for binding in manifests.of("RoleBinding"):
        role = manifests.one(binding["roleRef"]["kind"], binding["roleRef"]["name"])
        assert role["rules"] == [], f"{name_of(role)} may do something"
        for subject in binding["subjects"]:
            assert subject["namespace"] == NAMESPACE
            assert manifests.has(subject["kind"], subject["name"]), f"there is no {subject['name']}"
    for scaler in manifests.of("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        document = manifests.one(target["kind"], target["name"])
        assert document["apiVersion"] == target["apiVersion"]
        assert document["spec"].get("replicas") in (None, scaler["spec"]["minReplicas"]), "the scaler is contradicted"
    for rule in (rule for ingress in manifests.of("Ingress") for rule in ingress["spec"]["rules"]):
        for path in rule["http"]["paths"]:
            service = path["backend"]["service"]
            found = [port["port"] for port in manifests.one("Service", service["name"])["spec"]["ports"]]
            assert service["port"]["number"] in found, f"{rule['host']} leads to a port that is not there"


def selectors(manifests: Manifests) -> None:
    """Services, budget and policy mean the server's pods and no others; each pod has one policy."""
    deployment = manifests.one("Deployment", "tracing-config")
    owned = [pod.owner for pod in manifests.pods if selects(deployment["spec"]["selector"], pod)]
    assert owned == ["Deployment tracing-config"]
    for service in manifests.of("Service"):
        selected = [pod.owner for pod in manifests.pods if selects({"matchLabels": service["spec"]["selector"]}, pod)]
        assert selected == ["Deployment tracing-config"], f"{name_of(service)} leads to {selected}"
    for budget in manifests.of("PodDisruptionBudget"):
        selected = [pod.owner for pod in manifests.pods if selects(budget["spec"]["selector"], pod)]
        assert selected == ["Deployment tracing-config"], f"{name_of(budget)} is about {selected}"
    policies = [
        [policy for policy in manifests.of("NetworkPolicy") if selects(policy["spec"]["podSelector"], pod)]
        for pod in manifests.pods
    ]
    assert [len(found) for found in policies] == [1] * len(manifests.pods), "a pod has not exactly one network policy"
    assert all(set(found[0]["spec"]["policyTypes"]) == {"Ingress", "Egress"} for found in policies)


def images(manifests: Manifests) -> None:
    """One image, of this version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    found = {container["image"] for pod in manifests.pods for container in pod.containers}
    assert found == {f"exalt/tracing-config:{version}"}


CHECKS = (schemas, names, restricted, references, selectors, images)


@cache
def _schema_problem(document: str) -> str | None:
    """Most documents are the same in every rendering, and a schema takes long to read."""
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(json.loads(document), version, strict=True)
        except kubernetes_validate.ValidationError as error:
            return f"Kubernetes {version}: {error.message}"
    return None


def _mounted(container: Mapping[str, Any], paths: set[str]) -> Iterator[str]:
    return (mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] in paths)

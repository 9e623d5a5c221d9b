"""The manifests as `kubectl kustomize` renders them, and what is in them."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
KUBECTL = Path(sys.executable).parent / "kubectl"
NAMESPACE = "exalt-shared"
LABEL = "tracing-config"

COMPONENTS = ("backup", "cert-manager", "poll-tls", "prometheus-operator", "sidecar-tls", "tracing-platform")

Document = Mapping[str, Any]


class Composition(NamedTuple):
    """What is rendered together, as an overlay of somebody's own would name it."""

    resource: str
    components: Sequence[str] = ()


COMPOSITIONS = {
    "base": Composition("base"),
    "production": Composition("overlays/production"),
    "sqlite-single": Composition("overlays/sqlite-single"),
    **{f"base+{component}": Composition("base", [component]) for component in COMPONENTS},
    "production+tls": Composition("overlays/production", ["sidecar-tls", "poll-tls"]),
    "sqlite-single+tls": Composition(
        "overlays/sqlite-single", ["cert-manager", "prometheus-operator", "sidecar-tls", "poll-tls"]
    ),
}


class Pod(NamedTuple):
    """What a Deployment or a CronJob starts."""

    owner: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]

    @property
    def containers(self) -> Sequence[Mapping[str, Any]]:
        """All kinds of them."""
        kinds = ("initContainers", "containers", "ephemeralContainers")
        return [container for kind in kinds for container in self.spec.get(kind) or ()]

    @property
    def volumes(self) -> Mapping[str, Mapping[str, Any]]:
        """By name."""
        return {volume["name"]: volume for volume in self.spec.get("volumes", ())}


class Manifests:
    """Rendered documents."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.documents = documents

    def of(self, kind: str) -> Sequence[Document]:
        """All documents of one kind."""
        return [document for document in self.documents if document["kind"] == kind]

    def has(self, kind: str, name: str) -> bool:
        return any(document["metadata"]["name"] == name for document in self.of(kind))

    def one(self, kind: str, name: str) -> Document:
        """The one document of this kind and name."""
        found = [document for document in self.of(kind) if document["metadata"]["name"] == name]
        assert len(found) == 1, f"there are {len(found)} of {kind} {name}"
        return found[0]

    @cached_property
    def pods(self) -> Sequence[Pod]:
        """Of every document that starts some."""
        return list(self._pods())

    @property
    def server(self) -> Pod:
        """The pod of the Deployment."""
        return next(pod for pod in self.pods if pod.owner == "Deployment tracing-config")

    def _pods(self) -> Iterator[Pod]:
        for document in self.documents:
            spec = document.get("spec", {})
            if document["kind"] == "CronJob":
                spec = spec["jobTemplate"]["spec"]
            if "template" in spec:
                template = spec["template"]
                yield Pod(name_of(document), template["metadata"]["labels"], template["spec"])


def kubectl(*arguments: str, text: str | None = None) -> str:
    """Run it without a cluster; its output."""
    done = subprocess.run([KUBECTL, *arguments], input=text, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout


def copy(folder: Path) -> Path:
    """The manifests, to compose and to change them there."""
    return Path(shutil.copytree(FOLDER, folder / "kubernetes"))


def render(tree: Path, composition: Composition) -> Manifests:
    """What `kubectl apply -k` would send."""
    folder = tree / composition.resource
    if composition.components:
        folder = tree / "overlays" / "-".join(["composed", Path(composition.resource).name, *composition.components])
        folder.mkdir()
        overlay = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [f"../../{composition.resource}"],
            "components": [f"../../components/{component}" for component in composition.components],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    return Manifests(list(yaml.load_all(kubectl("kustomize", str(folder)), yaml.CSafeLoader)))


def name_of(document: Document) -> str:
    """Kind and name."""
    return f"{document['kind']} {document['metadata']['name']}"


def selects(selector: Mapping[str, Any], pod: Pod) -> bool:
    """Whether a selector means a pod."""
    assert selector.keys() == {"matchLabels"}, selector
    labels: Mapping[str, str] = selector["matchLabels"]
    return bool(labels) and labels.items() <= pod.labels.items()

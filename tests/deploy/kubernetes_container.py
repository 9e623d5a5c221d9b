"""What a container finds when Kubernetes has started it: its mounted files, in a folder here, and its environment."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.deploy.kubernetes import Manifests, Pod

TOKEN = "0123456789abcdef-test-token"
SECRETS = {
    "database-url": "postgresql://tracing_user:secret@postgres-service:5432/tracing_config_db",
    "redis-url": "redis://redis-service:6379",
    "admin-token": TOKEN,
    "jwt-secret": "0123456789abcdef0123456789abcdef",
}
"""A Secret tracing-secrets that an operator might have made."""

CERTIFICATE = {"tls.crt": "certificate", "tls.key": "key", "ca.crt": "authority"}

Files = Mapping[str, Mapping[str, str]]
"""The data of Secrets by their names."""


class Container:
    """The first container of a pod, with its volumes mounted below a folder."""

    def __init__(self, manifests: Manifests, pod: Pod, folder: Path, secrets: Files | None = None) -> None:
        self._manifests, self._pod, self._folder = manifests, pod, folder
        self._secrets = {"tracing-secrets": SECRETS, "tracing-config-tls": CERTIFICATE} if secrets is None else secrets
        self._spec = pod.spec["containers"][0]
        self._mounts = [mount["mountPath"] for mount in self._spec["volumeMounts"]]
        for mount in self._spec["volumeMounts"]:
            self._mount(mount)

    @property
    def environment(self) -> Mapping[str, str]:
        """Its variables, with paths that lead to the folder."""
        return {entry["name"]: self._here(entry["value"]) for entry in self._spec.get("env", ())}

    def _here(self, value: str) -> str:
        if not value.startswith("/"):
            return value
        assert any(Path(value).is_relative_to(mount) for mount in self._mounts), f"nothing is mounted at {value}"
        return f"{self._folder}{value}"

    def _mount(self, mount: Mapping[str, Any]) -> None:
        volumes = self._pod.volumes
        assert mount["name"] in volumes, f"{self._pod.owner} has no volume {mount['name']}"
        assert "subPath" not in mount, f"{mount['mountPath']} is mounted by subPath, and never changes"
        at = Path(f"{self._folder}{mount['mountPath']}")
        at.mkdir(parents=True)
        for name, content in self._files(volumes[mount["name"]]):
            (at / name).write_text(content)

    def _files(self, volume: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        sources = volume.get("projected", {}).get("sources", [volume])
        for source in sources:
            if "configMap" in source:
                named = source["configMap"]
                yield from _chosen(named, self._manifests.one("ConfigMap", named["name"])["data"])
            elif "secret" in source:
                named = source["secret"]
                name = named.get("secretName") or named["name"]
                assert name in self._secrets or named.get("optional"), f"nobody makes the Secret {name}"
                yield from _chosen(named, self._secrets.get(name, {}))
            elif "persistentVolumeClaim" in source:
                claim = source["persistentVolumeClaim"]["claimName"]
                assert self._manifests.has("PersistentVolumeClaim", claim), f"there is no claim {claim}"


def _chosen(named: Mapping[str, Any], data: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What of a Secret or ConfigMap is mounted, and under which name."""
    items = named.get("items")
    if items is None:
        yield from data.items()
        return
    for item in items:
        assert item["key"] in data or named.get("optional"), f"there is no key {item['key']}"
        if item["key"] in data:
            yield item["path"], data[item["key"]]

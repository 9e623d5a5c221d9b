"""Custom resources, of which there is no schema here, and all that has to know of TLS."""

from typing import Any

import yaml

from tests.deploy.kubernetes import LABEL, NAMESPACE, ROOT, Manifests
from tests.deploy.kubernetes_program_checks import settings_of


def custom_resources(manifests: Manifests) -> None:
    """Every field is compared with the one that is meant."""
    scheme = manifests.server.containers[0]["readinessProbe"]["httpGet"].get("scheme", "HTTP")
    for monitor in manifests.of("ServiceMonitor"):
        assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
        spec = monitor["spec"]
        endpoint: dict[str, Any] = {"port": "metrics", "path": "/metrics", "interval": "15s", "scrapeTimeout": "10s"}
        if scheme == "HTTPS":
            authority = {"secret": {"name": "tracing-config-tls", "key": "ca.crt"}}
            name = "tracing-config.exalt-shared.svc"
            endpoint |= {"scheme": "https", "tlsConfig": {"serverName": name, "ca": authority}}
        assert spec == {"jobLabel": "app", "selector": {"matchLabels": {"app": LABEL}}, "endpoints": [endpoint]}
        scraped = [
            service["metadata"]["name"]
            for service in manifests.of("Service")
            if service["metadata"]["labels"].items() >= spec["selector"]["matchLabels"].items()
            and any(port["name"] == "metrics" for port in service["spec"]["ports"])
        ]
        assert scraped == ["tracing-config"], f"each replica is scraped by way of {scraped}"
    for rule in manifests.of("PrometheusRule"):
        assert rule["apiVersion"] == "monitoring.coreos.com/v1"
        assert rule["spec"] == yaml.load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text(), yaml.CSafeLoader)
    if manifests.of("Certificate"):
        _certificates(manifests)


def _certificates(manifests: Manifests) -> None:
    assert {one["apiVersion"] for kind in ("Certificate", "Issuer") for one in manifests.of(kind)} == {"cert-manager.io/v1"}
    assert {one["metadata"]["name"]: one["spec"] for one in manifests.of("Issuer")} == {
        "tracing-config-self-signed": {"selfSigned": {}},
        "tracing-config-ca": {"ca": {"secretName": "tracing-config-ca"}},
    }
    assert manifests.one("Certificate", "tracing-config-ca")["spec"] == {
        "secretName": "tracing-config-ca",
        "isCA": True,
        "commonName": "tracing-config-ca",
        "duration": "87600h",
        "privateKey": {"algorithm": "ECDSA", "size": 256},
        "issuerRef": {"group": "cert-manager.io", "kind": "Issuer", "name": "tracing-config-self-signed"},
    }
    certificate = dict(manifests.one("Certificate", "tracing-config-tls")["spec"])
    hosts = set(certificate.pop("dnsNames"))
    assert certificate == {
        "secretName": "tracing-config-tls",
        "secretTemplate": {"labels": {"app": LABEL}},
        "duration": "2160h",
        "renewBefore": "720h",
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "usages": ["digital signature", "server auth"],
        "issuerRef": {"group": "cert-manager.io", "kind": "Issuer", "name": "tracing-config-ca"},
    }
    services = [service["metadata"]["name"] for service in manifests.of("Service")]
    wanted = {"localhost", *services}
    wanted |= {f"{name}.{NAMESPACE}{end}" for name in services for end in ("", ".svc", ".svc.cluster.local")}
    for ingress in manifests.of("Ingress"):
        reached = {rule["host"] for rule in ingress["spec"]["rules"]}
        assert ingress["spec"]["tls"] == [{"hosts": [*reached], "secretName": certificate["secretName"]}]
        wanted |= reached
    assert hosts == wanted


def over_tls(manifests: Manifests) -> None:
    """Whoever asks the sidecar speaks HTTPS exactly when it does."""
    container = manifests.server.containers[0]
    settings = settings_of(manifests)
    assert settings.sidecar_tls_client_ca is None, "the kubelet has no certificate to show"
    encrypted = settings.sidecar_tls_cert is not None
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"].get("scheme", "HTTP") == ("HTTPS" if encrypted else "HTTP"), probe
    for port in manifests.one("Service", "tracing-config")["spec"]["ports"]:
        asked = port["name"] in {"sidecar", "metrics"} and encrypted
        assert port.get("appProtocol") == ("https" if asked else None), port["name"]
    annotations = manifests.one("Ingress", "tracing-config")["metadata"]["annotations"]
    assert annotations.get("nginx.ingress.kubernetes.io/backend-protocol") == ("HTTPS" if encrypted else None)
    if encrypted or settings.poll_tls_cert is not None:
        source = manifests.server.volumes["certificates"]["projected"]["sources"][0]["secret"]
        assert source["optional"] is False, "a pod without a certificate fails instead of waiting for it"


CHECKS = (custom_resources, over_tls)

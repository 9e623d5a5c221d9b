"""Mistakes as somebody could make them in the manifests, and the check that finds each."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Mistake(NamedTuple):
    """One text that was written instead of another."""

    right: str
    wrong: str
    check: str


_BASE = "base"
_ALL = "production+tls"

MISTAKES: Mapping[tuple[str, str], Sequence[Mistake]] = {
    (_BASE, "base/deployment.yaml"): [
        Mistake("image: exalt", "imag: exalt", "schemas"),
        Mistake("cpu: 500m", "cpu: [500m]", "schemas"),
        Mistake("maxSurge: 1", "maxSurges: 1", "schemas"),
        Mistake("tracing-config:0.1.0", "tracing-config:0.1.1", "images"),
        Mistake("name: TRACING_CONFIG_STRATEGIES_FILE", "name: TRACING_CONFIG_STRATEGY_FILE", "environment"),
        Mistake("name: LOG_LEVEL", "name: TRACING_CONFIG_LOG_LEVEL", "environment"),
        Mistake("value: INFO", "value: VERBOSE", "environment"),
        Mistake("/app/config/sampling_strategies", "/app/config/strategies", "environment"),
        Mistake("/app/secrets/jwt-secret", "/app/secrets/jwt-secrets", "environment"),
        Mistake("mountPath: /app/secrets", "mountPath: /app/secret", "environment"),
        Mistake("mountPath: /app/config", "mountPath: /app/config\n              subPath: x", "environment"),
        Mistake("configMap:\n            name: tracing-config", "configMap:\n            name: sampling", "environment"),
        Mistake("secretName: tracing-secrets", "secretName: tracing-secret", "environment"),
        Mistake("containerPort: 14250", "containerPort: 14520", "ports"),
        Mistake("name: metrics", "name: metric", "ports"),
        Mistake("GracePeriodSeconds: 60", "GracePeriodSeconds: 30", "stop"),
        Mistake("labels:\n        app: tracing-config", "labels:\n        app: tracing", "selectors"),
        Mistake("replicas: 2", "replicas: 1", "references"),
        Mistake("AccountName: tracing-config-sa", "AccountName: tracing-config", "references"),
        Mistake("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "restricted"),
        Mistake("enableServiceLinks: false", "enableServiceLinks: true", "restricted"),
        Mistake("- infrastructure.svc", "- infra.svc", "egress"),
    ],
    (_BASE, "base/service.yaml"): [
        Mistake("targetPort: http-polls", "targetPort: http", "ports"),
        Mistake("port: 5779", "port: 5778", "ports"),
        Mistake("selector:\n    app: tracing-config", "selector:\n    app: tracing", "selectors"),
    ],
    (_BASE, "base/service-polls.yaml"): [
        Mistake("name: tracing-config-polls", "name: tracing-config-sidecar", "variables_of_services"),
        Mistake("selector:\n    app: tracing-config", "selector:\n    app: polls", "selectors"),
    ],
    (_BASE, "base/ingress.yaml"): [Mistake("number: 8093", "number: 8080", "references")],
    (_BASE, "base/horizontal-pod-autoscaler.yaml"): [
        Mistake("    name: tracing-config\n  min", "    name: tracing\n  min", "references"),
    ],
    (_BASE, "base/pod-disruption-budget.yaml"): [
        Mistake("matchLabels:\n      app: tracing-config", "matchLabels:\n      app: x", "selectors"),
    ],
    (_BASE, "base/network-policy.yaml"): [
        Mistake("matchLabels:\n      app: tracing-config", "matchLabels:\n      app: x", "selectors"),
        Mistake("port: 5432", "port: 5433", "egress"),
        Mistake("name: infrastructure", "name: infra", "egress"),
        Mistake("port: 9090", "port: 9091", "ports"),
    ],
    (_BASE, "base/access.yaml"): [
        Mistake("rules: []", "rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]", "references"),
        Mistake("- kind: ServiceAccount\n    name: tracing-config-sa", "- kind: ServiceAccount\n    name: x", "references"),
    ],
    (_BASE, "base/kustomization.yaml"): [
        Mistake("  - access.yaml", "  - access.yaml\n  - secret.yaml", "names"),
        Mistake("    namespace: exalt-shared\n", "", "names"),
    ],
    (_BASE, "base/sampling_strategies.json"): [
        Mistake('"param": 0.001', '"param": 2', "strategies"),
        Mistake('"param": 0.001', '"param": 0.001,', "strategies"),
    ],
    ("base+backup", "components/backup/cron-job.yaml"): [
        Mistake("            app: tracing-config-backup", "            app: tracing-config", "selectors"),
        Mistake("- --upload", "- --uploads", "arguments"),
        Mistake("- key: database-url", "- key: database", "environment"),
        Mistake("runAsUser: 65532", "runAsUser: 0", "restricted"),
    ],
    ("base+backup", "components/backup/network-policy.yaml"): [Mistake("port: 443", "port: 80", "egress")],
    ("base+prometheus-operator", "components/prometheus-operator/service-monitor.yaml"): [
        Mistake("port: metrics", "port: sidecar", "custom_resources"),
        Mistake("jobLabel: app", "jobLabel: job", "custom_resources"),
    ],
    ("base+prometheus-operator", "components/prometheus-operator/prometheus-rule.yaml"): [
        Mistake("for: 5m", "for: 50m", "custom_resources"),
        Mistake("  labels:\n    app: tracing-config\n", "", "names"),
    ],
    ("base+cert-manager", "components/cert-manager/certificate.yaml"): [
        Mistake("secretName: tracing-config-tls", "secretName: tls", "custom_resources"),
        Mistake("    - tracing-config-polls\n", "", "custom_resources"),
    ],
    ("base+cert-manager", "components/cert-manager/issuers.yaml"): [Mistake("isCA: true", "isCa: true", "custom_resources")],
    ("base+poll-tls", "components/poll-tls/deployment.patch.yaml"): [
        Mistake("POLL_TLS_CERT", "POLLS_TLS_CERT", "environment"),
        Mistake("/app/certs/tracing-config.key", "/app/certs/tls.key", "environment"),
    ],
    ("base+tracing-platform", "components/tracing-platform/deployment.patch.yaml"): [
        Mistake("TRACING_CONFIG_JAEGER_URL", "TRACING_CONFIG_JAEGER_ENDPOINT", "environment"),
        Mistake("http://zipkin", "zipkin", "environment"),
        Mistake("infrastructure:9200", "infrastructure:9201", "egress"),
    ],
    ("base+tracing-platform", "components/tracing-platform/network-policy.patch.yaml"): [
        Mistake("port: 4318", "port: 4317", "egress"),
    ],
    (_ALL, "components/sidecar-tls/deployment.patch.yaml"): [
        Mistake("startupProbe:\n            httpGet:\n              scheme: HTTPS", "startupProbe: {}", "over_tls"),
    ],
    (_ALL, "components/sidecar-tls/ingress.patch.yaml"): [Mistake("protocol: HTTPS", "protocol: HTTP", "over_tls")],
    (_ALL, "components/sidecar-tls/service-monitor.patch.yaml"): [Mistake("value: https", "value: http", "custom_resources")],
    ("base+sidecar-tls", "components/sidecar-tls/kustomization.yaml"): [
        Mistake("components:\n  - ../certificate-required\n", "", "over_tls"),
    ],
}

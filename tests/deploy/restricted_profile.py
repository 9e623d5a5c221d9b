"""The profile `restricted` of the Pod Security Standards, which the namespace enforces: every control of its list."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.deploy.kubernetes import Pod

VOLUME_KINDS = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}

SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
}

SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}

PROFILES = {"RuntimeDefault", "Localhost"}


def violations(pod: Pod) -> Iterator[str]:
    """What the namespace would refuse of a pod, one text for each."""
    whole = pod.spec.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(field):
            yield field
    for sysctl in whole.get("sysctls", ()):
        if sysctl["name"] not in SAFE_SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    for volume in pod.spec.get("volumes", ()):
        if kinds := volume.keys() - {"name"} - VOLUME_KINDS:
            yield f"volume {volume['name']} of type {', '.join(kinds)}"
    yield from _either(whole)
    for container in pod.containers:
        for violation in _of_container(container, whole):
            yield f"{container['name']}: {violation}"


def _of_container(container: Mapping[str, Any], whole: Mapping[str, Any]) -> Iterator[str]:
    own = container.get("securityContext", {})
    yield from _either(own)
    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", ()):
        yield "capabilities are not dropped"
    if more := set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}:
        yield f"capabilities {', '.join(more)}"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    if not own.get("runAsNonRoot", whole.get("runAsNonRoot")):
        yield "runAsNonRoot is not true"
    if own.get("seccompProfile", whole.get("seccompProfile", {})).get("type") not in PROFILES:
        yield "seccompProfile is neither RuntimeDefault nor Localhost"
    yield from _network(container)


def _network(container: Mapping[str, Any]) -> Iterator[str]:
    for port in container.get("ports", ()):
        if port.get("hostPort"):
            yield f"hostPort {port['hostPort']}"
    handlers = [container.get(f"{kind}Probe", {}) for kind in ("startup", "liveness", "readiness")]
    handlers += container.get("lifecycle", {}).values()
    for handler in handlers:
        if any(handler.get(kind, {}).get("host") for kind in ("httpGet", "tcpSocket")):
            yield "a probe or hook names a host"


def _either(context: Mapping[str, Any]) -> Iterator[str]:
    """What neither a pod nor a container may say."""
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield "hostProcess"
    if context.get("appArmorProfile", {}).get("type", "RuntimeDefault") not in PROFILES:
        yield "appArmorProfile"
    selinux = context.get("seLinuxOptions", {})
    if selinux.get("type", "") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield "seLinuxOptions"
    if context.get("runAsNonRoot") is False:
        yield "runAsNonRoot is false"
    if context.get("runAsUser") == 0:
        yield "runAsUser is 0"
    if context.get("seccompProfile", {}).get("type", "RuntimeDefault") not in PROFILES:
        yield "seccompProfile is Unconfined"

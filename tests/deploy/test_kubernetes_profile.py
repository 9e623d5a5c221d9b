"""Every pod passes the profile that the namespace enforces, and the check of it sees each violation."""

import copy
from typing import Any

import pytest

from tests.deploy.kubernetes import FOLDER, Composition, Manifests, Pod, render
from tests.deploy.restricted_profile import violations


@pytest.fixture(scope="module")
def production() -> Manifests:
    return render(FOLDER, Composition("overlays/production"))


def test_all_pods_are_restricted(production: Manifests) -> None:
    assert [pod.owner for pod in production.pods] == ["Deployment tracing-config", "CronJob tracing-config-backup"]
    assert [[*violations(pod)] for pod in production.pods] == [[], []]


def test_the_namespace_enforces_it(production: Manifests) -> None:
    labels = production.one("Namespace", "exalt-shared")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


CONTAINER = ("containers", 0)
OWN = (*CONTAINER, "securityContext")
WHOLE = ("securityContext",)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("hostNetwork",), True),
        (("hostPID",), True),
        (("hostIPC",), True),
        (("volumes", 0), {"name": "data", "hostPath": {"path": "/"}}),
        ((*WHOLE, "sysctls"), [{"name": "kernel.msgmax", "value": "1"}]),
        ((*WHOLE, "runAsNonRoot"), None),
        ((*WHOLE, "runAsNonRoot"), False),
        ((*WHOLE, "runAsUser"), 0),
        ((*WHOLE, "seccompProfile"), {}),
        ((*WHOLE, "seccompProfile"), {"type": "Unconfined"}),
        ((*WHOLE, "seLinuxOptions"), {"type": "spc_t"}),
        ((*WHOLE, "windowsOptions"), {"hostProcess": True}),
        ((*WHOLE, "appArmorProfile"), {"type": "Unconfined"}),
        ((*OWN, "privileged"), True),
        ((*OWN, "allowPrivilegeEscalation"), None),
        ((*OWN, "capabilities"), {"drop": ["NET_RAW"]}),
        ((*OWN, "capabilities"), {"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
        ((*OWN, "procMount"), "Unmasked"),
        ((*OWN, "runAsNonRoot"), False),
        ((*OWN, "runAsUser"), 0),
        ((*OWN, "seccompProfile"), {"type": "Unconfined"}),
        ((*CONTAINER, "ports", 0, "hostPort"), 8093),
        ((*CONTAINER, "livenessProbe", "httpGet", "host"), "example.org"),
        ((*CONTAINER, "lifecycle"), {"preStop": {"httpGet": {"host": "example.org", "port": 80}}}),
        (("initContainers",), [{"name": "first"}]),
    ],
)
def test_what_the_namespace_would_refuse_is_seen(production: Manifests, place: tuple[Any, ...], value: Any) -> None:
    spec = copy.deepcopy(production.server.spec)
    at: Any = spec
    for step in place[:-1]:
        at = at[step]
    if value is None:
        del at[place[-1]]
    else:
        at[place[-1]] = value
    assert [*violations(Pod("", {}, spec))]

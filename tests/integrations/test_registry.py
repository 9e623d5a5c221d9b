"""A replica in real registries: Spring Cloud's Eureka, and an agent of Consul."""

import os
import signal
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from server.integrations.registry import BEAT_SECONDS, LEASE_SECONDS
from tests.e2e.replica import PLAIN, Replica
from tests.services.consul import ConsulAgent
from tests.services.eureka import EurekaServer
from tests.waiting import eventually

CRASHED_SECONDS = 2 * LEASE_SECONDS + 20
"""When Eureka has surely dropped who was killed: it counts the lease twice after a heartbeat, and looks every second."""


@pytest.fixture
def consul() -> Iterator[ConsulAgent]:
    with ConsulAgent() as agent:
        yield agent


def replica_in(registry: EurekaServer | ConsulAgent, data_dir: Path) -> Replica:
    named = {"TRACING_CONFIG_REGISTRY": registry.name, "TRACING_CONFIG_REGISTRY_URL": registry.url}
    return Replica(data_dir, TRACING_CONFIG_HOST="0.0.0.0", **named)


def get(url: str, accepted: str = "application/json") -> httpx.Response:
    return httpx.get(url, headers={"Accept": accepted}, timeout=5, **PLAIN)


def in_eureka(eureka: EurekaServer) -> list[dict[str, Any]]:
    answer = get(f"{eureka.url}/apps/TRACING-CONFIG")
    instances: list[dict[str, Any]] = [] if answer.status_code == 404 else answer.json()["application"]["instance"]
    return instances


def renewed(eureka: EurekaServer, instance: dict[str, Any]) -> int:
    """When its last heartbeat came. The list of an application is cached without that."""
    answer = get(f"{eureka.url}/apps/TRACING-CONFIG/{instance['instanceId']}").json()
    milliseconds: int = answer["instance"]["leaseInfo"]["lastRenewalTimestamp"]
    return milliseconds


def in_consul(consul: ConsulAgent) -> list[dict[str, Any]]:
    """Those that are alive."""
    found: list[dict[str, Any]] = get(f"{consul.url}/v1/health/service/tracing-config?passing").json()
    return found


def metadata_of(replica: Replica) -> dict[str, str]:
    ports = {name: replica.environment[f"TRACING_CONFIG_{name}"] for name in ("SIDECAR_PORT", "METRICS_PORT")}
    return {
        "version": version("tracing-config"),
        "secure": "false",
        "management.port": ports["SIDECAR_PORT"],
        "health.path": "/actuator/health",
        "prometheus.scrape": "true",
        "prometheus.port": ports["METRICS_PORT"],
        "prometheus.path": "/metrics",
        "polls.grpc.ports": replica.environment["TRACING_CONFIG_GRPC_PORTS"],
        "polls.http.ports": replica.environment["TRACING_CONFIG_HTTP_PORTS"],
        "polls.http.path": "/sampling",
        "polls.secure": "false",
    }


def registered(replica: Replica) -> bool:
    return replica.metrics()["tracing_config_registered"] == 1


def stop(replica: Replica) -> None:
    os.kill(replica.pid, signal.SIGTERM)
    replica.wait_for_event(lambda event: event["message"] == "stopped")


async def test_eureka_has_a_replica_from_ready_to_sigterm_and_again_after_its_own_restart(
    eureka: EurekaServer, tmp_path: Path
) -> None:
    with replica_in(eureka, tmp_path) as replica:
        await eventually(lambda: registered(replica))
        [instance] = in_eureka(eureka)
        assert (instance["status"], instance["metadata"]) == ("UP", metadata_of(replica))
        for url in (instance["homePageUrl"], instance["statusPageUrl"], instance["healthCheckUrl"]):
            assert get(url).status_code == 200, url
        told = ET.fromstring(get(f"{eureka.url}/apps/TRACING-CONFIG", "application/xml").text).find("./instance/metadata")
        assert told is not None
        assert {one.tag: one.text for one in told} == metadata_of(replica)

        await eventually(lambda: renewed(eureka, instance) > instance["leaseInfo"]["lastRenewalTimestamp"], 2 * BEAT_SECONDS)

        eureka.restart()
        assert in_eureka(eureka) == []
        await eventually(lambda: bool(in_eureka(eureka)), 2 * BEAT_SECONDS)
        await eventually(lambda: registered(replica))
        replica.rate("any")
        stop(replica)
        assert in_eureka(eureka) == []


async def test_eureka_drops_who_was_killed_and_not_who_took_the_place_of_one(eureka: EurekaServer, tmp_path: Path) -> None:
    with replica_in(eureka, tmp_path / "killed") as killed, replica_in(eureka, tmp_path / "restarted") as restarted:
        await eventually(lambda: len(in_eureka(eureka)) == 2)
        killed.kill()
        restarted.kill()
        restarted.start()
        await eventually(lambda: registered(restarted))
        assert len(in_eureka(eureka)) == 2
        await eventually(lambda: len(in_eureka(eureka)) == 1, CRASHED_SECONDS)
        assert in_eureka(eureka)[0]["metadata"] == metadata_of(restarted)
        stop(restarted)


async def test_consul_has_a_replica_from_ready_to_sigterm_and_again_after_its_own_restart(
    consul: ConsulAgent, tmp_path: Path
) -> None:
    with replica_in(consul, tmp_path) as replica:
        await eventually(lambda: len(in_consul(consul)) == 1)
        [found] = in_consul(consul)
        service, check = found["Service"], found["Checks"][1]
        assert service["Meta"] == {key.replace(".", "_"): value for key, value in metadata_of(replica).items()}
        assert (service["Address"], service["Port"]) == ("", int(service["Meta"]["management_port"]))
        assert (check["Type"], check["Status"]) == ("ttl", "passing")
        consul.restart()
        await eventually(lambda: len(in_consul(consul)) == 1, 2 * BEAT_SECONDS)
        await eventually(lambda: registered(replica))
        stop(replica)
        assert in_consul(consul) == []


async def test_consul_takes_who_was_killed_for_dead_and_not_who_lives(consul: ConsulAgent, tmp_path: Path) -> None:
    with replica_in(consul, tmp_path / "killed") as killed, replica_in(consul, tmp_path / "alive") as alive:
        await eventually(lambda: len(in_consul(consul)) == 2)
        killed.kill()
        await eventually(lambda: len(in_consul(consul)) == 1, CRASHED_SECONDS)
        assert in_consul(consul)[0]["Service"]["Port"] == int(metadata_of(alive)["management.port"])

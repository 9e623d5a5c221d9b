"""A real replica in a service registry, and what that does to its start, its polls and its stop: nothing."""

import os
import signal
from pathlib import Path
from time import monotonic
from typing import Any

import httpx

from server.integrations.registration import LEAVE_SECONDS
from tests.e2e.replica import Replica
from tests.services.consul_stand_in import ConsulStandIn
from tests.services.eureka_stand_in import EurekaStandIn
from tests.waiting import eventually, until

DEPENDENCY_UP = 'tracing_config_dependency_up{dependency="registry"}'
TOKEN = "registry-test-token"
AWAY = "a dependency cannot be used; polls are not affected"


def settings(registry: EurekaStandIn | ConsulStandIn) -> dict[str, str]:
    return {"TRACING_CONFIG_REGISTRY": registry.kind, "TRACING_CONFIG_REGISTRY_URL": registry.address}


def wait_for(replica: Replica, message: str) -> None:
    replica.wait_for_event(lambda event: event["message"] == message)


def messages(replica: Replica) -> list[str]:
    return [event["message"] for event in replica.events]


async def test_eureka_comes_goes_and_hangs_and_a_replica_is_registered_whenever_it_can_be(tmp_path: Path) -> None:
    eureka = EurekaStandIn()
    eureka.fault = "hang"
    eureka.start()
    with Replica(tmp_path, **settings(eureka)) as replica:
        assert AWAY not in messages(replica)  # It was ready before the registry could have been waited for.
        wait_for(replica, AWAY)
        at_start = replica.health()
        assert (at_start["status"], at_start["components"]["registry"]["status"]) == ("UP", "DOWN")
        assert (replica.metrics()["tracing_config_registered"], replica.metrics()[DEPENDENCY_UP]) == (0, 0)
        replica.rate("any")
        eureka.stop()
        eureka.fault = None
        eureka.start()
        await until(lambda: bool(eureka.instances))
        [instance] = eureka.instances.values()
        _check_that_it_leads_to(replica, instance)
        await eventually(lambda: replica.metrics()["tracing_config_registered"] == 1)
        component = replica.health()["components"]["registry"]
        assert component["status"] == "UP"
        assert component["details"] | {"latencyMilliseconds": 1} == {
            "url": eureka.address,
            "kind": "eureka",
            "instance": instance["instanceId"],
            "registered": True,
            "latencyMilliseconds": 1,
        }

        eureka.fault = "hang"
        os.kill(replica.pid, signal.SIGTERM)
        started = monotonic()
        wait_for(replica, "stopping")
        replica.rate("any")
        assert replica.health()["components"]["catalog"]["status"] == "UP"  # Ready, still.
        wait_for(replica, "stopped")
        assert monotonic() - started < LEAVE_SECONDS + 1
        eureka.stop()
    assert [line for line in messages(replica) if "regist" in line] == [
        "this replica is registered",
        "the registry could not be told of the stop; it drops who sends no heartbeats",
    ]


def _check_that_it_leads_to(replica: Replica, instance: dict[str, Any]) -> None:
    metadata = instance["metadata"]
    host = instance["hostName"]
    assert instance["port"] == {"$": int(metadata["management.port"]), "@enabled": "true"}
    assert instance["leaseInfo"] == {"renewalIntervalInSecs": 10, "durationInSecs": 30}
    for url in (
        instance["homePageUrl"],
        instance["statusPageUrl"],
        instance["healthCheckUrl"],
        f"http://{host}:{metadata['management.port']}{metadata['health.path']}",
        f"http://{host}:{metadata['prometheus.port']}{metadata['prometheus.path']}",
        f"http://{host}:{metadata['polls.http.ports']}{metadata['polls.http.path']}?service=any",
    ):
        assert httpx.get(url).status_code == 200, url
    assert replica.grpc_address == f"{host}:{metadata['polls.grpc.ports']}"


async def test_consul_is_left_before_anything_is_closed(tmp_path: Path) -> None:
    with ConsulStandIn(TOKEN) as consul:
        secret = {"TRACING_CONFIG_REGISTRY_TOKEN": TOKEN, "TRACING_CONFIG_SIDECAR_PORT": "0"}
        with Replica(tmp_path, **settings(consul), **secret) as replica:
            await until(lambda: bool(consul.instances))
            [service] = consul.instances.values()
            assert service["Port"] == int(replica.environment["TRACING_CONFIG_SIDECAR_PORT"]) != 0
            assert service["Meta"]["polls_http_ports"] == replica.environment["TRACING_CONFIG_HTTP_PORTS"]
            os.kill(replica.pid, signal.SIGTERM)
            wait_for(replica, "stopped")
        assert consul.instances == {}
    said = messages(replica)
    assert said.index("stopping") < said.index("this replica is deregistered") < said.index("stopped")
    assert TOKEN not in str(replica.events)

"""A replica in a service registry: there while it is ready, whatever the registry does."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from server.integrations.consul import Consul
from server.integrations.eureka import Eureka
from server.integrations.registration import LEAVE_SECONDS, Registration
from server.integrations.registry import instance_of
from server.settings import Settings
from server.surroundings import Surroundings
from tests.services.consul_stand_in import ConsulStandIn
from tests.services.eureka_stand_in import EurekaStandIn
from tests.services.http_stand_in import FAULTS, Fault, Request, StandIn
from tests.services.local_server import free_port
from tests.waiting import until

KINDS = (EurekaStandIn, ConsulStandIn)
Registry = EurekaStandIn | ConsulStandIn

PORTS = {"grpc_ports": [14250, 5779], "http_ports": [5778], "sidecar_ports": [8093], "metrics_ports": [9090]}
ID = f"{socket.gethostname()}:tracing-config:8093"
REGISTERED, DEREGISTERED = "this replica is registered", "this replica is deregistered"
AWAY, BACK = "a dependency cannot be used; polls are not affected", "a dependency answers"


class Replica:
    """As much of a replica as a registry sees."""

    def __init__(self, registry: Registry, **settings: Any) -> None:
        self.ready = True
        self.surroundings = Surroundings(Settings(registry=registry.kind, registry_url=registry.address, **settings))
        assert self.surroundings.registration is not None
        self.registration: Registration = self.surroundings.registration
        self.look = self.registration.dependency.look

    def announce(self) -> None:
        self.surroundings.announce(PORTS, lambda: self.ready)

    @property
    def details(self) -> dict[str, Any]:
        details: dict[str, Any] = self.registration.dependency.report()["details"]
        return details


@asynccontextmanager
async def replica_of(registry: Registry, **settings: Any) -> AsyncIterator[Replica]:
    replica = Replica(registry, **settings)
    replica.announce()
    try:
        yield replica
    finally:
        await replica.surroundings.close()


@pytest.fixture(params=KINDS)
def registry(request: pytest.FixtureRequest) -> Registry:
    kind: type[Registry] = request.param
    return kind()


def told(lines: list[EventDict]) -> list[str]:
    return [line["event"] for line in lines]


def changes(requests: list[Request]) -> list[str]:
    return [request.method for request in requests if request.method != "GET"]


async def test_a_replica_is_registered_while_it_is_ready_and_no_longer(registry: Registry) -> None:
    with registry, capture_logs() as lines:
        async with replica_of(registry) as replica:
            replica.ready = False
            await replica.look()
            assert (replica.registration.registered, registry.instances) == (False, {})
            for ready in (True, True, False, False, True):
                replica.ready = ready
                await replica.look()
                assert (replica.registration.registered, ID in registry.instances) == (ready, ready)
                assert replica.details["registered"] is ready
            await replica.surroundings.leave()
            await replica.look()
            assert (replica.registration.registered, registry.instances) == (False, {})
    assert told(lines) == [BACK, REGISTERED, DEREGISTERED, REGISTERED, DEREGISTERED]


async def test_who_only_looks_changes_nothing_and_sees_what_is_registered(registry: Registry) -> None:
    with registry:
        doctor = Replica(registry)
        await doctor.look()
        assert (doctor.registration.dependency.up, doctor.registration.registered) == (True, False)
        async with replica_of(registry) as replica:
            await replica.look()
        before = len(registry.requests)
        for _ in range(2):
            await doctor.look()
        await doctor.surroundings.leave()
        assert doctor.registration.registered
        assert changes(registry.requests[before:]) == []
        await doctor.surroundings.close()


async def test_a_registry_that_forgot_is_told_again(registry: Registry) -> None:
    with registry, capture_logs() as lines:
        async with replica_of(registry) as replica:
            await replica.look()
            registry.forget()
            await replica.look()
            assert ID in registry.instances
            before = len(registry.requests)
            await replica.look()
            assert changes(registry.requests[before:]) == ["PUT"]  # A heartbeat.
    assert told(lines) == [REGISTERED, BACK, REGISTERED]


async def test_what_a_crash_left_behind_is_removed_by_the_next_one_that_is_not_ready(registry: Registry) -> None:
    with registry:
        async with replica_of(registry) as crashed:
            await crashed.look()
        async with replica_of(registry) as replica:
            replica.ready = False
            for _ in range(2):
                await replica.look()
    assert registry.instances == {}


async def test_a_registry_that_is_away_at_the_start_is_tried_again_within_some_two_seconds(registry: Registry) -> None:
    async with replica_of(registry) as replica:
        task = asyncio.create_task(replica.registration.run())
        await until(lambda: replica.registration.dependency.failures > 0)
        with registry:
            await until(lambda: replica.registration.registered, 4)
            replica.ready = False
            await until(lambda: not replica.registration.registered, 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_every_fault_is_a_reason_in_bounded_time_in_each_phase_and_mends_itself() -> None:
    with StandIn(lambda _: pytest.fail("a redirect was followed")) as elsewhere:
        await asyncio.gather(*(_survives(kind(), fault, elsewhere) for kind in KINDS for fault in FAULTS))
        assert not elsewhere.requests


async def _survives(registry: Registry, fault: Fault, elsewhere: StandIn) -> None:
    registry.redirect_to = elsewhere.url
    with registry:
        async with replica_of(registry) as replica:
            for _ in ("at the start", "at a heartbeat"):
                registry.fault = fault
                await _is_down(replica)
                registry.fault = None
                await replica.look()
                assert ID in registry.instances
                assert replica.registration.registered
            registry.fault = fault
            started = monotonic()
            await replica.surroundings.leave()
            assert monotonic() - started < LEAVE_SECONDS + 1
            registry.fault = None
            for _ in range(2):  # Who answered 200 to the removal, and did not remove it, is asked again.
                await replica.look()
            assert not replica.registration.registered
            assert registry.instances == {}


async def _is_down(replica: Replica) -> None:
    started = monotonic()
    await replica.look()
    assert monotonic() - started < 4
    report = replica.registration.dependency.report()
    assert (report["status"], replica.registration.registered) == ("DOWN", False)
    assert "registered" not in report["details"]
    assert report["details"]["problem"]


async def test_an_outage_is_two_lines_however_long_it_is(registry: Registry) -> None:
    with registry:
        async with replica_of(registry) as replica:
            await replica.look()
            with capture_logs() as lines:
                registry.stop()
                for _ in range(3):
                    await replica.look()
                registry.start()
                for _ in range(3):
                    await replica.look()
    assert told(lines) == [AWAY, BACK]


async def test_a_stop_amid_a_registration_is_not_held_up_and_what_may_have_arrived_is_removed(registry: Registry) -> None:
    with registry:
        async with replica_of(registry) as replica:
            registry.fault = "hang"
            registering = asyncio.create_task(replica.look())
            await until(lambda: bool(registry.requests))
            started = monotonic()
            await replica.surroundings.leave()
            assert monotonic() - started < LEAVE_SECONDS + 1
            await registering
            registry.fault = None
            registry.stop()  # What the stop itself has sent is not to come in with what follows.
            registry.start()
            for removals in (["DELETE" if registry.kind == "eureka" else "PUT"], []):
                before = len(registry.requests)
                await replica.look()
                assert changes(registry.requests[before:]) == removals


async def test_a_stop_while_the_registry_was_never_reached_asks_nothing_and_says_nothing(registry: Registry) -> None:
    async with replica_of(registry) as replica:
        replica.ready = False
        with capture_logs() as lines:
            await replica.surroundings.leave()
    assert lines == []


async def test_another_server_under_the_address_is_told(registry: Registry) -> None:
    for path in ("/wrong", "/eureka/wrong"):
        with registry:
            client = Eureka(registry.url + path) if registry.kind == "eureka" else Consul(registry.url + path, None)
            registration = Registration(client, instance_of(Settings()))
            await registration.dependency.look()
            assert not registration.dependency.up
            await client.close()


async def test_consul_is_shown_its_token_and_a_wrong_one_is_no_secret_in_the_reason() -> None:
    with ConsulStandIn("right-token") as consul:
        async with replica_of(consul, registry_token="right-token") as replica:
            await replica.look()
            assert replica.registration.registered
        async with replica_of(consul, registry_token="wrong-token") as replica:
            await replica.look()
            assert "403" in replica.details["problem"]
            assert "wrong-token" not in str(replica.details)
            assert "token" in replica.registration.dependency.cure


def test_replicas_on_one_host_differ_and_a_restart_does_not() -> None:
    first, again, other = (instance_of(Settings(sidecar_port=port)).id for port in (8093, 8093, 8193))
    assert first == again != other


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        ({"host": "10.1.2.3"}, "10.1.2.3"),
        ({"host": "0.0.0.0"}, "127.0.0.1"),
        ({"host": "::"}, "127.0.0.1"),
        ({"host": "0.0.0.0", "registry_address": "tracing.example.org"}, "tracing.example.org"),
        ({"host": "::", "registry_address": "2001:db8::7"}, "[2001:db8::7]"),
    ],
)
async def test_the_address_is_the_given_one_else_that_of_the_host_else_the_one_from_which_the_registry_is_reached(
    settings: dict[str, Any], host: str
) -> None:
    with EurekaStandIn() as eureka:
        async with replica_of(eureka, **settings) as replica:
            await replica.look()
    registered = eureka.instances[ID]
    assert registered["hostName"] == host
    assert registered["healthCheckUrl"] == f"http://{host}:8093/actuator/health"
    assert registered["ipAddr"] == ("127.0.0.1" if host == "tracing.example.org" else host.strip("[]"))


@pytest.mark.parametrize("kind", ["eureka", "consul"])
@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"host": "::"}, "connection refused"),
        ({"host": "0.0.0.0"}, "no IPv4 route leads there"),
        ({"host": "0.0.0.0", "registry_address": "10.1.2.3"}, "connection refused"),
    ],
)
async def test_who_listens_on_ipv4_alone_finds_out_no_address_of_ipv6(
    kind: str, settings: dict[str, Any], problem: str
) -> None:
    surroundings = Surroundings(Settings(registry=kind, registry_url=f"http://[::1]:{free_port()}", **settings))
    surroundings.announce(PORTS, lambda: True)
    [registry] = surroundings.dependencies
    await registry.look()
    assert problem in str(registry.problem)
    assert "TRACING_CONFIG_REGISTRY_ADDRESS" in registry.cure or "IPv4" not in problem
    await surroundings.close()


async def test_a_sidecar_with_tls_is_registered_as_such() -> None:
    with EurekaStandIn() as eureka:
        async with replica_of(eureka, sidecar_tls_cert=Path("tls.crt"), poll_tls_cert=Path("tls.crt")) as replica:
            await replica.look()
    registered = eureka.instances[ID]
    assert (registered["port"]["@enabled"], registered["securePort"]) == ("false", {"$": 8093, "@enabled": "true"})
    assert registered["secureHealthCheckUrl"] == "https://127.0.0.1:8093/actuator/health"
    assert "healthCheckUrl" not in registered
    assert (registered["metadata"]["secure"], registered["metadata"]["polls.secure"]) == ("true", "true")


async def test_an_agent_of_consul_on_this_machine_is_left_to_tell_the_address() -> None:
    with ConsulStandIn() as consul:
        async with replica_of(consul, host="0.0.0.0") as replica:
            await replica.look()
            assert consul.instances[ID]["Address"] == ""
        async with replica_of(consul, host="::", registry_address="2001:db8::7") as replica:
            await replica.look()
            assert consul.instances[ID]["Address"] == "2001:db8::7"

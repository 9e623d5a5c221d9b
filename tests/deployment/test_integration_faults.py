"""Every other server of the platform misbehaves in every way, and nobody who polls or writes notices."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import pytest

from tests.deployment.poll_load import PollLoad
from tests.e2e.replica import Replica
from tests.services.http_stand_in import FAULTS, Fault, Reply, StandIn
from tests.waiting import eventually

DEPENDENCIES = {
    "jaeger": "TRACING_CONFIG_JAEGER_URL",
    "zipkin": "TRACING_CONFIG_ZIPKIN_URL",
    "elasticsearch": "TRACING_CONFIG_ELASTICSEARCH_URL",
    "registry": "TRACING_CONFIG_REGISTRY_URL",
}

START_SECONDS = 15.0
"""On two cores that start as many processes at once as there are faults; one that waited for another server would say so."""

CHECKS = 3

ALL: tuple[Fault, ...] = (*FAULTS, "interim")


@pytest.fixture
def faulty() -> Iterator[list[StandIn]]:
    """One server for each fault, and one that nobody may ever ask, to which a redirect leads."""
    with ExitStack() as stack:
        elsewhere = stack.enter_context(StandIn(lambda _: Reply(200, b"{}")))
        servers = []
        for fault in ALL:
            server = stack.enter_context(StandIn(lambda _: Reply(404)))
            server.fault, server.redirect_to = fault, elsewhere.url
            servers.append(server)
        yield servers
        assert not elsewhere.requests


@pytest.mark.parametrize("registry", ["eureka", "consul"])
async def test_what_other_servers_do_touches_no_poll_no_write_and_no_start_and_is_told_once(
    tmp_path: Path, faulty: list[StandIn], registry: str
) -> None:
    replicas = [
        Replica(
            tmp_path / fault,
            TRACING_CONFIG_REGISTRY=registry,
            **{variable: faulty[(first + place) % len(ALL)].url for place, variable in enumerate(DEPENDENCIES.values())},
        )
        for first, fault in enumerate(ALL)
    ]
    with ExitStack() as stack:
        for replica in replicas:
            stack.callback(replica.kill)
        started = monotonic()
        await asyncio.gather(*(asyncio.to_thread(replica.start) for replica in replicas))
        assert monotonic() - started < START_SECONDS
        for replica in replicas:
            assert (await asyncio.to_thread(replica.put_rate, "checkout", 0.25)).status_code == 200
        polled = replicas[0]
        async with PollLoad(
            polled.grpc_address,
            polled.http_url.removeprefix("http://"),
            ["checkout"],
            lambda _service, rate, _asked: None if rate == 0.25 else f"answers {rate}",
        ) as load:
            for replica in replicas:
                await eventually(lambda replica=replica: _failed(replica, CHECKS), seconds=90)  # type: ignore[misc]
                assert (await asyncio.to_thread(replica.put_rate, "basket", 0.5)).status_code == 200
        print(load.report())
        assert not load.failures, load.failures[:5]
        assert load.in_time, load.report()
        for replica in replicas:
            report = await asyncio.to_thread(replica.health)
            assert report["status"] == "UP"
            for name in DEPENDENCIES:
                component = report["components"][name]
                assert component["status"] == "DOWN", (name, component)
                assert component["details"]["problem"]
            stopped = monotonic()
            assert await asyncio.to_thread(replica.stop) == 0
            assert monotonic() - stopped < 8
            replica.wait_for_event(lambda event: event["message"] == "stopped")
            told = Counter(event["dependency"] for event in replica.events if "dependency" in event)
            assert told == dict.fromkeys(DEPENDENCIES, 1), told
    for server in faulty:
        # As many megabytes as the kernel holds for a connection, of the gigabyte that each answer would have.
        assert server.sent < 64 * 1024 * 1024 * max(len(server.requests), 1)


def _failed(replica: Replica, times: int) -> bool:
    metrics = replica.metrics()
    return all(metrics[f'tracing_config_dependency_failures_total{{dependency="{name}"}}'] >= times for name in DEPENDENCIES)

"""The composition root: with ``server.stores`` the one place that knows the concrete classes. Opens in order, closes in
reverse."""

import asyncio
import gc
import os
import resource
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

import structlog

from sampling.strategies_file import NO_FILE
from server.answers import Answers
from server.certificates import POLLS, SIDECAR, Certificate, load_certificates
from server.copies import HOT_COPY_SECONDS, SNAPSHOT_SECONDS, CopyKeeper, load_base
from server.data_folder import admin_token
from server.disk_space import DiskSpace
from server.figures import StoreFigures
from server.follower import PATIENCE_SECONDS, Follower
from server.health import Health
from server.polls.interface import PollServer
from server.ports import Ports
from server.redis_probe import RedisProbe
from server.self_poll import SelfPoll
from server.served import Served
from server.setting_reader import SettingError
from server.settings import Settings
from server.sidecar.app import Sidecar
from server.sidecar.auth import Authentication
from server.sidecar.parts import Parts
from server.stores import Stores
from server.strategies_file import StrategiesFileWatch
from server.surroundings import Running, Surroundings
from server.telemetry.growth import Growth
from server.telemetry.metrics import Metrics
from server.telemetry.traces import open_traces
from server.tls_listener import Refusals
from server.validation import Validation
from storage.figures import Measured
from storage.interface import Copies
from storage.snapshot_file import SnapshotFile

_log = structlog.get_logger(__name__)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Run the server until ``stop`` is set.

    Raises:
        SettingError: something that a setting names cannot be used; nothing was opened for clients.
        CannotListen: another program took a port during the start.
        StrategiesFileError: the strategies file cannot be served.
    """
    _allow_many_connections()
    gc.disable()  # Until everything is loaded: walking it again and again was seen to hold the loop for 50 ms.
    async with AsyncExitStack() as stack:
        traces = await stack.enter_async_context(open_traces(settings.spans))
        metrics = stack.enter_context(Metrics())
        authentication = Authentication(settings, admin_token(settings), metrics.authentication_failures)
        authentication.load()
        certificates = load_certificates(settings)
        ports = stack.enter_context(Ports(settings))
        answers = Answers()
        watch = await _strategies_file(settings)
        served = Served(answers, NO_FILE if watch is None else watch.current)
        if watch is not None:
            watch.changed = served.replace_file
        stores = Stores(settings)
        store, hot_copy = stores.store, stores.hot_copy
        stack.push_async_callback(store.close)
        snapshot = SnapshotFile(settings.data_dir, store.address)
        copies: dict[str, Copies] = {"snapshot": snapshot}
        keepers = {"snapshot": CopyKeeper("snapshot", snapshot, served, SNAPSHOT_SECONDS)}
        probe = None
        if hot_copy is not None:
            stack.push_async_callback(hot_copy.close)
            copies["hot copy"] = hot_copy
            probe = RedisProbe(hot_copy)
            keepers["hot copy"] = CopyKeeper("hot copy", hot_copy, served, HOT_COPY_SECONDS, lambda: not probe.up)
        await load_base(copies, served)

        follower = Follower(store, served, lost=snapshot.rename_lost, traces=traces)
        surroundings = Surroundings(settings, follower)
        stack.push_async_callback(surroundings.close)
        health = Health(
            answers=answers,
            served=served,
            follower=follower,
            store=store,
            disk_space=DiskSpace(settings.data_dir, settings.disk_threshold_bytes),
            redis=probe,
            strategies_file=watch,
            certificates=tuple(certificates.values()),
            address_files=stores.address_files,
            dependencies=surroundings.dependencies,
        )
        metrics.expose(
            answers=answers,
            served=served,
            follower=follower,
            health=health,
            strategies_file=watch,
            registration=surroundings.registration,
            cleanup=surroundings.cleanup,
        )
        looking = (watch, probe, health.disk_space, *stores.address_files.values(), *certificates.values())
        tasks = [
            asyncio.create_task(_kept_running(one.run)) for one in (follower, *keepers.values(), *looking) if one is not None
        ]
        stack.push_async_callback(_cancel, tasks)

        polls = _poll_server(settings, answers, ports, certificates.get(POLLS), Refusals(metrics.refused_handshakes))
        stack.push_async_callback(polls.stop)
        await polls.start()
        parts = Parts(
            settings=settings,
            grpc_port=ports.grpc[0].getsockname()[1],
            answers=answers,
            served=served,
            follower=follower,
            history=store,
            keepers=keepers,
            health=health,
            metrics=metrics,
            authentication=authentication,
            dry_runs=asyncio.Lock(),
            cleanup=surroundings.cleanup,
            validation=Validation(follower=follower, served=served, store=store, copies=copies, strategies_file=watch),
            traces=traces,
        )
        sidecar = Sidecar(parts)
        stack.push_async_callback(sidecar.close)
        await sidecar.start(ports.sidecar[0], ports.metrics[0], certificates.get(SIDECAR))
        tasks.append(asyncio.create_task(_announce(served, follower, health, polls, ports.numbers())))
        surroundings.announce(ports.numbers(), lambda: health.ready)
        measuring = _measuring(metrics, store, follower, polls=polls, answers=answers, health=health)
        tasks += [asyncio.create_task(_kept_running(one.run)) for one in (*surroundings.running, *measuring)]

        await _stopped(stop, follower, stores.setting)
        await _drain(settings.drain_seconds, surroundings, health, polls)
    _log.info("stopped")


def _allow_many_connections() -> None:
    """As many file descriptors as this process may have: tens of thousands of clients keep a connection each."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _strategies_file(settings: Settings) -> StrategiesFileWatch | None:
    if settings.strategies_file is None:
        return None
    watch = StrategiesFileWatch(settings.strategies_file)
    await watch.load()
    return watch


def _poll_server(
    settings: Settings, answers: Answers, ports: Ports, certificate: Certificate | None, refusals: Refusals
) -> PollServer:
    construct: Callable[[Answers, Sequence[socket.socket], Sequence[socket.socket]], PollServer]
    if settings.poll_server == "grpcio":
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # Its core writes clients' mistakes to standard error.
        from server.polls.grpcio_server import GrpcioPollServer  # noqa: PLC0415 - 20 MB that only those who choose it pay

        construct = GrpcioPollServer
    else:
        from server.polls.asgi import AsgiPollServer  # noqa: PLC0415

        construct = AsgiPollServer
    if certificate is None:
        return construct(answers, ports.grpc, ports.http)
    from server.polls.tls import TlsPollServer  # noqa: PLC0415

    return TlsPollServer(partial(construct, answers), ports.grpc, ports.http, certificate, refusals)


def _measuring(
    metrics: Metrics, store: Measured, follower: Follower, *, polls: PollServer, answers: Answers, health: Health
) -> Sequence[Running]:
    """What is asked for or tried out now and then, for the metrics only."""
    figures = StoreFigures(store, follower)
    metrics.registry.register(Growth(figures))
    return figures, SelfPoll(metrics.registry, answers.own_name, lambda: health.ready, polls.own_addresses)


async def _kept_running(run: Callable[[], Awaitable[None]]) -> None:
    """A defect in a background task must end neither the process nor the task for good."""
    while True:
        try:
            await run()
        except Exception:  # noqa: BLE001 - said in the docstring
            _log.exception("a background task failed through a defect; it starts again")
        await asyncio.sleep(1)


async def _stopped(stop: asyncio.Event, follower: Follower, setting: str) -> None:
    """Wait for a signal. Raises SettingError where no poll can ever be answered; with a copy to answer from it goes on."""
    ends = [asyncio.create_task(event.wait()) for event in (stop, follower.gave_up)]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _cancel(ends)
    if not stop.is_set():
        raise SettingError(f"{setting}: {follower.problem}")


async def _drain(seconds: float, surroundings: Surroundings, health: Health, polls: PollServer) -> None:
    """Have clients leave: the registry first, which sends new ones, then those that watch, then all."""
    _log.info("stopping", drain_seconds=seconds)
    await surroundings.leave()
    health.stopping = True
    polls.set_serving(False)
    await asyncio.sleep(seconds)
    await polls.stop()


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _announce(served: Served, follower: Follower, health: Health, polls: PollServer, ports: dict[str, list[int]]) -> None:
    """The one line that says what was opened and that the server is ready."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS + 0.5):
            await served.until_published()
    if not served.published:
        gc.enable()
        _log.warning("open, but not ready: nothing is loaded yet", reason=follower.problem, **ports)
    await served.until_published()
    if health.stopping:  # Nobody is to come any more.
        return
    polls.set_serving(True)
    # What is there now lives as long as the process: the garbage collector need not walk it while polls wait. Nor now: to find
    # 2,000 objects that the imports left behind it was seen to hold the loop for 60 ms.
    gc.freeze()
    gc.enable()
    point = served.point
    _log.info("ready", store=follower.store.name, address=follower.store.address, at=point and str(point), **ports)

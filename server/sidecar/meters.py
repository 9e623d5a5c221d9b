"""What ``/actuator/metrics`` tells, by the names that Spring gives it. The sources are those of the metrics for Prometheus."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import Literal, NamedTuple

import msgspec

from server.answers import CacheCounts
from server.disk_space import Room
from server.sidecar.errors import Problem
from server.sidecar.parts import Parts
from server.telemetry.timer import Timer
from storage.interface import PoolState

Statistic = Literal["COUNT", "TOTAL_TIME", "MAX", "VALUE"]

TIMER: tuple[Statistic, ...] = ("COUNT", "TOTAL_TIME", "MAX")
"""MAX is that of the last two minutes, as in Spring."""


class Measured(NamedTuple):
    """One value for each statistic of a meter, at one value for each of its tags."""

    values: Sequence[float]
    tags: Mapping[str, str] = {}


class Meter(msgspec.Struct, frozen=True):
    """A metric of the actuator."""

    name: str
    description: str
    read: Callable[[Parts], Iterable[Measured]]
    statistics: Sequence[Statistic] = ("VALUE",)
    unit: str | None = None
    tags: Sequence[str] = ()
    of_pool: bool = False
    """Is there only with PostgreSQL."""


def meters(parts: Parts) -> Mapping[str, Meter]:
    """Those that there are here, by their names."""
    has_pool = parts.follower.store.pool is not None
    return {meter.name: meter for meter in _METERS if has_pool or not meter.of_pool}


def _cache(read: Callable[[CacheCounts], float]) -> Callable[[Parts], Iterable[Measured]]:
    return lambda parts: [Measured([read(parts.answers.cache)])]


def _gets(parts: Parts) -> Iterable[Measured]:
    cache = parts.answers.cache
    return [Measured([cache.hits], {"result": "hit"}), Measured([cache.misses], {"result": "miss"})]


def _disk(read: Callable[[Room], float]) -> Callable[[Parts], Iterable[Measured]]:
    def measured(parts: Parts) -> Iterable[Measured]:
        disk = parts.health.disk_space
        if disk.room is None:
            raise Problem(503, "disk-unreadable", f"the disk of the data folder cannot be asked: {disk.problem}")
        return [Measured([read(disk.room)])]

    return measured


def _pool(name: str, description: str, read: Callable[[PoolState], float]) -> Meter:
    def of(parts: Parts) -> Iterable[Measured]:
        pool = parts.follower.store.pool
        return [] if pool is None else [Measured([read(pool)])]

    return Meter(f"hikaricp.connections{name}", f"{description} {_TO_POSTGRES}", of, of_pool=True)


_TO_POSTGRES = "to PostgreSQL that commit (asyncpg; there is no HikariCP here)"


def _requests(parts: Parts) -> Iterable[Measured]:
    for request, timer in parts.metrics.requests.timers().items():
        outcome = _OUTCOMES.get(request.status[0], "UNKNOWN")
        tags = {"method": request.method, "uri": request.route, "status": request.status, "outcome": outcome}
        yield Measured(_timed(timer), tags)


_OUTCOMES = {"1": "INFORMATIONAL", "2": "SUCCESS", "3": "REDIRECTION", "4": "CLIENT_ERROR", "5": "SERVER_ERROR"}


def _timed(timer: Timer) -> Sequence[float]:
    return timer.count, timer.total, timer.longest(perf_counter())


_METERS = (
    Meter(
        "cache.evictions",
        "Service names that were forgotten with their answers to make room for others",
        _cache(lambda cache: cache.evictions),
        ("COUNT",),
    ),
    Meter(
        "cache.gets",
        "Answered polls. hit: from memory as it stood; miss: the answer had to be resolved and encoded",
        _gets,
        ("COUNT",),
        tags=("result",),
    ),
    Meter("cache.puts", "Answers that were put into memory: one for each miss", _cache(lambda cache: cache.misses), ("COUNT",)),
    Meter("disk.free", "Free for this user, where the data folder is", _disk(lambda room: room.free), unit="bytes"),
    Meter("disk.total", "In all, where the data folder is", _disk(lambda room: room.total), unit="bytes"),
    _pool("", "Open connections", lambda pool: pool.active + pool.idle),
    _pool(".active", "Connections in use by a commit, of those", lambda pool: pool.active),
    _pool(".idle", "Open and free connections", lambda pool: pool.idle),
    _pool(".max", "The most connections", lambda pool: pool.maximum),
    _pool(".pending", "Commits that wait for one of the connections", lambda pool: pool.pending),
    Meter(
        "http.server.requests",
        "Requests of the sidecar. Polls are not in it: see tracing_config_polls_total at /actuator/prometheus",
        _requests,
        TIMER,
        "seconds",
        ("method", "uri", "status", "outcome"),
    ),
    Meter(
        "jvm.gc.pause",
        "Pauses of Python's garbage collector, in which nothing else runs (there is no JVM here)",
        lambda parts: [Measured(_timed(parts.metrics.pauses.timer))],
        TIMER,
        "seconds",
    ),
    Meter(
        "jvm.memory.max",
        "Memory that this process may use: the limit of its control group or the machine (there is no JVM here)",
        lambda parts: [Measured([parts.metrics.limits.now.memory_bytes])],
        unit="bytes",
    ),
    Meter(
        "jvm.memory.used",
        "Memory that this process holds, its resident set (there is no JVM here)",
        lambda parts: [Measured([parts.metrics.process.memory_bytes])],
        unit="bytes",
    ),
    Meter(
        "process.cpu.usage",
        "Share of the processors that this process may use (1 is all of them) that it kept busy since this was last asked, "
        "at first since its start",
        lambda parts: [Measured([parts.metrics.process.processors() / parts.metrics.limits.now.cpu_cores])],
    ),
    Meter(
        "process.uptime",
        "Since this process began to start",
        lambda parts: [Measured([parts.metrics.process.uptime])],
        unit="seconds",
    ),
)

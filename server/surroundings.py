"""What the settings name beside the stores: the other servers of the platform, each optional. No poll touches them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from server.follower import Follower
from server.integrations.consul import Consul
from server.integrations.dependency import Dependency
from server.integrations.elasticsearch import Elasticsearch
from server.integrations.eureka import Eureka
from server.integrations.http_client import HttpClient
from server.integrations.jaeger import Jaeger
from server.integrations.registration import Registration
from server.integrations.registry import Registry, instance_of
from server.integrations.trace_cleanup import TraceCleanup
from server.integrations.trace_indices import TraceIndices
from server.integrations.trace_schedule import TraceSchedule
from server.integrations.zipkin import Zipkin
from server.settings import PREFIX, Settings

KNOWN = {
    "jaeger": f"{PREFIX}JAEGER_URL",
    "zipkin": f"{PREFIX}ZIPKIN_URL",
    "elasticsearch": f"{PREFIX}ELASTICSEARCH_URL",
    "registry": f"{PREFIX}REGISTRY",
}
"""Every dependency that there may be, with the variable that turns it on."""


class Running(Protocol):
    """What works in the background, for ever."""

    async def run(self) -> None: ...


class Target(Protocol):
    """A dependency that takes spans."""

    async def send_marked_span(self) -> str:
        """Send one, and return its trace id. Raises Unusable."""
        ...


class Surroundings:
    """Opens nothing before its tasks run. Without settings there is nothing in it."""

    def __init__(self, settings: Settings, follower: Follower | None = None) -> None:
        """``follower``: of a server; without it there is nothing but dependencies to look at."""
        self._settings = settings
        self.dependencies: list[Dependency] = []
        """In the order in which health shows them."""
        self.running: list[Running] = []
        """To be run in the background until they are cancelled."""
        self.targets: dict[str, Target] = {}
        """By the names of their dependencies. The server itself sends them no spans; the doctor does."""
        self._closing: list[Callable[[], Awaitable[None]]] = []
        self._watch_target("jaeger", settings.jaeger_url, Jaeger)
        self._watch_target("zipkin", settings.zipkin_url, Zipkin)
        self.cleanup: TraceCleanup | None = None
        """What removes old traces."""
        if settings.elasticsearch_url is not None:
            self._use_elasticsearch(settings.elasticsearch_url, follower)
        self.registration = self._registration()
        """In a service registry, where the settings name one."""

    def announce(self, ports: Mapping[str, Sequence[int]], ready: Callable[[], bool]) -> None:
        """Tell others of this replica while it is ready, as soon as the tasks run."""
        if self.registration is not None:
            self.registration.announce(instance_of(self._settings, ports), ready)

    async def leave(self) -> None:
        """Tell them that it stops, in 2 s at the most."""
        if self.registration is not None:
            await self.registration.leave()

    async def close(self) -> None:
        """End what is open, the last first."""
        while self._closing:
            await self._closing.pop()()

    def _watch_target(self, name: str, url: str | None, kind: type[Jaeger] | type[Zipkin]) -> None:
        if url is None:
            return
        client = HttpClient(url)
        self._closing.append(client.close)
        target = kind(client)
        self.targets[name] = target
        self._watch(Dependency(name, KNOWN[name], client.url, target.check))

    def _use_elasticsearch(self, url: str, follower: Follower | None) -> None:
        settings = self._settings
        names = TraceIndices(settings.trace_index_prefixes, settings.trace_index_date_separator)
        elasticsearch = Elasticsearch(url, names)
        self._closing.append(elasticsearch.close)
        self._watch(Dependency("elasticsearch", KNOWN["elasticsearch"], elasticsearch.url, elasticsearch.check))
        if follower is not None:
            self.cleanup = TraceCleanup(elasticsearch, names, follower)
            self._closing.append(self.cleanup.close)
            if settings.trace_retention_days is not None:
                self.running.append(TraceSchedule(self.cleanup, settings.trace_retention_days))

    def _watch(self, dependency: Dependency) -> None:
        self.dependencies.append(dependency)
        self.running.append(dependency)

    def _registration(self) -> Registration | None:
        kind, url, token = self._settings.registry, self._settings.registry_url, self._settings.registry_token
        if kind is None or url is None:
            return None
        registry: Registry = Eureka(url) if kind == "eureka" else Consul(url, token)
        registration = Registration(registry, instance_of(self._settings))
        self._closing.append(registry.close)
        self.dependencies.append(registration.dependency)
        self.running.append(registration)
        return registration

"""What the sidecar's handlers work with: the parts of the process that they show and change."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from aiohttp import web

from sampling.catalog import Catalog
from sampling.records import Key, Stored
from server.answers import Answers
from server.copies import CopyKeeper
from server.follower import Follower
from server.health import Health
from server.integrations.trace_cleanup import TraceCleanup
from server.served import Served
from server.settings import Settings
from server.sidecar.auth import Authentication
from server.sidecar.errors import Problem
from server.telemetry.metrics import Metrics
from server.telemetry.traces import Traces
from server.validation import Validation
from storage.errors import StoreUnavailable
from storage.history import History
from storage.interface import Point


class Parts(NamedTuple):
    """One of each. The keepers have the names of the copies: ``snapshot`` and, with Redis, ``hot copy``."""

    settings: Settings
    grpc_port: int
    """The first one that is open for gRPC polls."""

    answers: Answers
    served: Served
    follower: Follower
    history: History
    keepers: Mapping[str, CopyKeeper]
    health: Health
    metrics: Metrics
    authentication: Authentication
    dry_runs: asyncio.Lock
    """One at a time: each works for seconds, and whoever may read may ask for it."""
    cleanup: TraceCleanup | None
    """None: no setting says where traces are."""
    validation: Validation
    traces: Traces

    def loaded(self) -> tuple[Catalog, Point]:
        """What is served, and its point.

        Raises:
            Problem: 503 before anything is loaded.
        """
        point = self.served.point
        if point is None:
            detail = "no configuration is loaded yet; see /actuator/health"
            raise Problem(503, "not-ready", detail, headers={"Retry-After": "1"})
        return self.served.catalog, point

    def stored(self, key: Key) -> Stored | None:
        """A record as it is served."""
        catalog, _ = self.loaded()
        return catalog.records(key.kind).get(key.name)

    def log(self) -> History:
        """The past of the store that is followed.

        Raises:
            StoreUnavailable: the store in its place is another one.
        """
        if self.follower.store.foreign is not None:
            raise StoreUnavailable(self.follower.problem or "another store has taken the place of the followed one")
        return self.history


PARTS = web.AppKey("parts", Parts)

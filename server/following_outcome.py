"""How following the store has gone lately: for health, metrics and the log, and for when to try again."""

import random
from time import monotonic

import structlog

from server.followed_store import FollowedStore
from storage.errors import ContentMismatch
from storage.interface import Point

_log = structlog.get_logger(__name__)


class FollowingOutcome:
    """One outage is one line of the log, whatever its reasons."""

    def __init__(self) -> None:
        self.confirmed = monotonic()
        """When the served point was last seen to be the head."""
        self.problem: str | None = "the store has not answered yet"
        """Why the store cannot be followed right now; None while it is."""
        self.mismatch_since: float | None = None
        """Since when its content misses its checksum."""
        self.mismatches = 0
        self.reconnects = 0
        self._failures = 0
        self._told: tuple[type[Exception], str | None] | None = None
        """The kind of failure that the log has last told, since it could be followed."""

    def succeeded(self, store: FollowedStore, point: Point | None, *, again: bool) -> None:
        """The store is followed, and ``point`` served. ``again``: not for the first time."""
        self.confirmed = monotonic()
        self._failures = 0
        self.mismatch_since = None
        store.foreign = None
        if self.problem is not None:
            self.reconnects += again
            self.problem = self._told = None
            _log.info("the store is followed", store=store.name, at=point and str(point))

    def failed(self, error: Exception, store: FollowedStore, *, is_served: bool) -> None:
        """It could not be. ``is_served``: answers go on."""
        self._failures += 1
        if isinstance(error, ContentMismatch):
            self.mismatches += 1
            self.mismatch_since = self.mismatch_since or monotonic()
        self.problem = str(error)
        # A server that stops, is away and starts again gives other reasons each time: health has the present one.
        kind = type(error), None if store.foreign is None else store.foreign.store_id
        if kind != self._told:
            self._told = kind
            effect = "answers go on from memory" if is_served else "nothing can be answered yet"
            _log.error("the store cannot be followed", reason=str(error), address=store.address, effect=effect)

    def pause(self) -> float:
        """Seconds until it is tried again: longer with each failure, up to 5."""
        return min(5.0, 0.1 * 2.0 ** min(self._failures, 10)) * random.uniform(0.5, 1.0)

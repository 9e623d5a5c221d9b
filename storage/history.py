"""What the log tells of the past. Only the control plane asks; no poll and no follower waits for it."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

import msgspec

from sampling.records import Key, Kind
from storage.figures import Measured
from storage.interface import Load, Point, Store

LOGGED_BYTES = 8 * 1024 * 1024
"""About so much text is read from the log at once."""


class Revision(msgspec.Struct, frozen=True):
    """One commit: when it was (the store's clock), who made it and why."""

    revision: int
    commit_id: str
    at: datetime
    actor: str
    reason: str


class LoggedChange(msgspec.Struct, frozen=True, gc=False):
    """One row of the log: the canonical text of a record before and after, None where there was or is none.

    An entry of the audit log, a revision that changed no record, is a row without a key.
    """

    revision: Revision
    position: int
    """Its place among the changes of its revision, from 0."""

    key: Key | None
    before: bytes | None
    after: bytes | None

    @property
    def size(self) -> int:
        """Bytes of both texts."""
        return len(self.before or b"") + len(self.after or b"")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which changes to look for: those for which all that is given holds. Entries are of no kind and have no name."""

    kind: Kind | None = None
    name: str | None = None
    actor: str | None = None
    commit_id: str | None = None
    """Whole or its beginning, as in an entity tag."""

    revision: int | None = None
    since: datetime | None = None
    """At this instant or later."""

    until: datetime | None = None
    """Before this instant."""

    older_than: tuple[int, int] | None = None
    """Before this (revision, position) in the log: where the last page ended."""


class Difference(msgspec.Struct, frozen=True, gc=False):
    """What became of one record between two revisions."""

    key: Key
    before: bytes | None
    after: bytes | None


class Differences(msgspec.Struct, frozen=True):
    """All records that are not the same at two revisions, by kind and name, and the head when that was read."""

    head: Point
    records: Sequence[Difference]


class Flaws(msgspec.Struct, frozen=True):
    """What the log itself tells of edits by SQL, the first ones. Edits of actors, reasons and times leave no trace."""

    incomplete: Sequence[int]
    """Revisions of which changes are missing, and the first one of each run that is missing altogether."""

    unlogged: Sequence[tuple[Key, int]]
    """Records, and the revisions that did not find them as the change before had left them."""


class History(Protocol):
    """The past of a store.

    Every method raises ``StoreUnavailable`` when the store does not answer within 10 s, and ``RevisionUnknown``.
    """

    async def logged(self, wanted: Wanted, limit: int) -> Sequence[LoggedChange]:
        """The newest ``limit`` changes that are wanted, the newest first.

        Fewer where their texts are long: the one that takes them beyond LOGGED_BYTES together is the last.
        """
        ...

    async def revision(self, number: int) -> Revision:
        """One commit."""
        ...

    async def differences(self, before: int, after: int | None) -> Differences:
        """What differs between two revisions, in either order; None is the head. Read in one transaction."""
        ...

    async def flaws(self, limit: int) -> Flaws:
        """Whether the log is whole; at most ``limit`` of each kind."""
        ...

    def state_at(self, revision: int) -> AbstractAsyncContextManager[Load]:
        """Every record as the log says that it was at a revision, with the head of that time.

        It is made of the log alone: whoever compares it with ``Store.load`` finds what was edited behind the log's back.
        """
        ...


class LoggedStore(Store, History, Measured, Protocol):
    """A store that also tells of its past and its figures: what the composition root makes."""

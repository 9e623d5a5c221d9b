"""What every store and every copy of it promises. The follower and the sidecar know nothing else of storage."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from sampling.records import Change, Key, etag


class Point(msgspec.Struct, frozen=True):
    """Where in which history something stands. Points are compared, never revision numbers alone."""

    store_id: str
    revision: int
    commit_id: str

    @property
    def etag(self) -> str:
        return etag(self.revision, self.commit_id)

    def __str__(self) -> str:
        """For people: ``120-3f9a1c02``."""
        return self.etag.strip('"')


class Head(msgspec.Struct, frozen=True):
    """The newest commit of a store, as one query saw it."""

    point: Point
    checksum: int
    """Sum mod 2^64 over all records, see ``storage.checksum``."""

    clock: float
    """The store's own wall clock, seconds since the epoch."""

    in_recovery: bool = False
    """A standby: it may lack what its primary has, so it proves no loss."""

    commit_at_served: str | None = None
    """The commit id of the revision that the caller asked about; None where the store has no such revision."""

    accepted: tuple[str, ...] = ()
    """The ids of stores whose place this one was told to take, see ``Store.accept``."""


class News(msgspec.Struct, frozen=True):
    """The last state of each key that changed after a revision, and the head they lead to, read in one transaction."""

    head: Head
    changes: Sequence[Change]


class Write(msgspec.Struct, frozen=True, gc=False):
    """One write of a batch: the canonical text of the record, or None to delete it."""

    key: Key
    body: bytes | None


class Committed(msgspec.Struct, frozen=True):
    """What a commit did. ``changes`` is empty, and the point the head's, where every record was already so; an entry of the
    audit log has a point of its own and no changes."""

    head: Head
    changes: Sequence[Change]


ALONE_SECONDS = 120.0
"""After so long whoever is alone (``Store.alone``) is so no more, should nothing be heard of it."""

ABSENT = ""
"""As an expected tag: there must be no such record (``If-None-Match: *``)."""

PRESENT = "*"
"""As an expected tag: there must be such a record, at whatever tag (``If-Match: *``)."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Under which a batch is committed: in whose name, and what must be so."""

    actor: str
    reason: str = ""
    expected: Mapping[Key, str] = {}
    """The entity tag that a record must have, or ``ABSENT`` or ``PRESENT``."""

    owner: str | None = None
    """For whom it is written: records of other owners are refused."""

    takeover: bool = False
    """Write records of other owners too."""

    undo_since: Point | None = None
    """The point that the batch was worked out for. What was committed after it, boosts apart, is undone by the batch too."""

    may_write: Callable[[Key], bool] | None = None
    """Whose records may be undone beside the writes of the batch; None: all may."""

    store_id: str | None = None
    """The store that the writer knows: refused where another has taken its place."""

    entry: bool = False
    """Commit a revision also where no record changes: an entry of the audit log for what is done outside the records."""


class PoolState(msgspec.Struct, frozen=True):
    """The connections that commit, at this moment."""

    active: int
    """In use by a commit."""

    idle: int
    maximum: int
    pending: int
    """Commits that wait for a connection."""


class Load(Protocol):
    """A consistent view of everything, read in one repeatable-read transaction."""

    @property
    def head(self) -> Head: ...

    def __aiter__(self) -> AsyncIterator[Sequence[Change]]:
        """All records in chunks of at most 1,000."""
        ...


class Store(Protocol):
    """The log and its records: the source of truth.

    Every method raises ``StoreUnavailable`` within its own time limit when the store does not answer (2 s for a write of
    one record, 30 s for larger batches, 2 s for ``head``), and ``StoreUnusable`` when it never will without somebody's help.
    """

    @property
    def name(self) -> str:
        """The product, for health: ``PostgreSQL`` or ``SQLite``."""
        ...

    @property
    def address(self) -> str:
        """Names the database without its secrets. A snapshot is bound to what it is at the start."""
        ...

    @property
    def pool(self) -> PoolState | None:
        """The connections that commit; None for a store that needs none. Asks nobody."""
        ...

    async def open(self, *, create: bool = True) -> None:
        """Connect and bring the schema up to date. May be called again after a failure.

        A store in a file stays with that file until ``close``: another that was put in its place is StoreUnusable.
        Without ``create`` an empty database is left empty, and StoreUnusable: a backup may be about to be restored there.
        """
        ...

    async def close(self) -> None: ...

    async def head(self, served: int | None = None) -> Head:
        """The newest commit, and the commit id at revision ``served``."""
        ...

    async def changes_since(self, revision: int) -> News:
        """The last state of each key changed after ``revision``, in one read transaction with the head."""
        ...

    def load(self) -> AbstractAsyncContextManager[Load]:
        """Everything, as a consistent view."""
        ...

    async def commit(self, writes: Sequence[Write], terms: Terms) -> Committed:
        """Write a batch as one revision, or nothing.

        When this returns, the commit is durable. A record whose ``managedBy`` is neither null nor the owner of the terms is
        refused unless they take over. A batch that would change nothing commits nothing, unless it is an entry.

        Raises:
            ValueError: a key is written twice, a name breaks the rules of ``check_name``, a policy is called ``boost:...``,
                the default is deleted, or a text holds U+0000.
            PointMismatch: a record is not at its expected tag.
            OwnedByAnother: records belong to other owners.
            OutOfScope: what would have to be undone beside the batch is not for this writer.
            StoreUnavailable: also where this is another store than the writer knows, or its log lacks ``undo_since``.
            OutcomeUnknown: the store could not say in time whether it committed.
        """
        ...

    def alone(self, name: str) -> AbstractAsyncContextManager[bool]:
        """Be the only one under this name among all who use the database, until the end of the context.

        Waits for nobody: what it yields says whether it is so. Whoever is alone has ``ALONE_SECONDS``. It may end sooner,
        with the connection: what is done meanwhile must do no harm when another begins it too.
        """
        ...

    async def accept(self, store_id: str) -> None:
        """Take the place of the store with this id: replicas that serve it follow this one from now on."""
        ...

    async def wait_for_news(self, seconds: float) -> None:
        """Return when the store hints at a new commit, at latest after ``seconds``. Spurious returns are allowed."""
        ...


class Copy(msgspec.Struct, frozen=True):
    """A whole configuration as a replica last served it, outside the store."""

    point: Point
    checksum: int
    checked_at: float
    """The store's clock when the writing replica last saw that the point was the head."""

    changes: Sequence[Change]


class CopyHeader(msgspec.Struct, frozen=True):
    """What a copy says of itself at its front, read without the rest."""

    point: Point
    checksum: int
    checked_at: float
    records: int
    size: int
    """Bytes of the whole copy."""


class Copies(Protocol):
    """A place that keeps one copy: the Redis hot copy, the snapshot file.

    Every method raises ``StoreUnavailable`` when the place cannot be reached, does not answer in time, or is full.
    """

    async def header(self) -> CopyHeader | None:
        """What the copy says of itself, or None where there is none. Raises ``CopyInvalid``."""
        ...

    async def read(self) -> Copy | None:
        """The copy, or None where there is none. Raises ``CopyInvalid``."""
        ...

    async def write(self, copy: Copy, *, accepted: Collection[str] = (), again: bool = False) -> bool:
        """Replace what is there if it is behind; True where it was written.

        Behind is: absent, damaged, or of the same store, at another point, and with an earlier ``checked_at``. A copy
        of another store stays, unless its id is among the ``accepted``: whose place the store of this copy was told to
        take. ``again``: the same point is replaced too. ``copy.changes`` must not change meanwhile.
        """
        ...

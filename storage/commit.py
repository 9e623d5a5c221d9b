"""What a commit changes: decided in one place for every store, from what its transaction read."""

import secrets
from collections.abc import Generator, Iterable, Mapping, Sequence

import msgspec

from sampling.records import DEFAULT_POLICY, Change, Key, Stored, owner_of
from sampling.strategy import check_name
from storage.checksum import MASK, record_hash
from storage.errors import OutOfScope, OwnedByAnother, PointMismatch, StoreUnavailable
from storage.history import Difference
from storage.interface import ABSENT, PRESENT, Head, Point, Terms, Write
from storage.rows import BOOST_PREFIX

SINGLE_SECONDS = 2.0
"""What a write of one record may take in all."""

BATCH_SECONDS = 30.0
"""What a larger batch may take in all."""

BEFORE_DOUBT = 0.75
"""The part of a batch's time after which an unanswered commit is given up. The rest is for learning what became of it."""

Work = Generator[None, None, None]
"""Work that may be long. At each ``yield`` something else may have its turn, see ``storage.pacing``."""


class ChangedRow(msgspec.Struct, frozen=True, gc=False):
    """One row of the log. The garbage collector does not walk the 100,000 of a large import while polls wait."""

    write: int
    """The place of the write in its batch, from 0."""

    key: Key
    before: bytes | None
    after: bytes | None


class Batch:
    """A commit in the making. ``head``, ``rows`` and ``changes`` say what it does, once ``plan`` has run to its end.

    A batch that changes nothing has no rows. Unless it is an entry of the audit log, it is then no revision, and the head is
    the one it was planned for.
    """

    def __init__(self, writes: Sequence[Write], terms: Terms) -> None:
        self.writes, self.terms = [*writes], terms
        self.commit_id = secrets.token_hex(8)
        self.is_single = len(writes) <= 1 and terms.undo_since is None
        """Whether it is the write of one record, of which somebody waits for the answer."""
        self.seconds = SINGLE_SECONDS if self.is_single else BATCH_SECONDS
        self.written: set[Key] = set()
        self.head: Head
        self.rows: list[ChangedRow] = []
        self.changes: list[Change] = []

    @property
    def is_revision(self) -> bool:
        """Whether there is something to commit, once it is planned."""
        return bool(self.rows) or self.terms.entry

    def check(self) -> Work:
        """Refuse what no store could keep; afterwards ``written`` holds the keys of the writes.

        Raises:
            ValueError: naming the field and the cure.
        """
        _check_text("actor", self.terms.actor)
        _check_text("reason", self.terms.reason)
        for write in self.writes:
            _check_write(write)
            if write.key in self.written:
                raise ValueError(f"{write.key.kind} {write.key.name!r} is written twice in one batch; remove one")
            self.written.add(write.key)
            yield

    def plan(self, head: Head, current: Mapping[Key, Stored]) -> Work:
        """Work out what the batch changes if it is committed right after ``head``. May be called again for a later one.

        ``current`` has the record of every key written or expected, where there is one.

        Raises:
            PointMismatch: a record is not at its expected tag.
            OwnedByAnother: records belong to other owners.
            StoreUnavailable: this is another store than the writer knows.
        """
        yield from self._check_terms(head, current)
        revision, checksum = head.point.revision + 1, head.checksum
        rows, changes = [], []
        for index, write in enumerate(self.writes):
            stored = current.get(write.key)
            before = stored.body if stored else None
            if before != write.body:
                rows.append(ChangedRow(index, write.key, before, write.body))
                after = None
                if stored is not None:
                    checksum -= record_hash(write.key, stored.revision)
                if write.body is not None:
                    checksum += record_hash(write.key, revision)
                    after = Stored(revision, self.commit_id, write.body)
                changes.append(Change(write.key, after))
            yield
        self.rows, self.changes, self.head = rows, changes, head
        if self.is_revision:
            self.head = Head(Point(head.point.store_id, revision, self.commit_id), checksum & MASK, head.clock)

    def overtaken(self, head: Head) -> Point | None:
        """The point that the batch was worked out for, where commits have come after it.

        Args:
            head: as a query saw it that asked about the revision of that point.

        Raises:
            StoreUnavailable: the log does not have that point.
        """
        since = self.terms.undo_since
        if since is None or since == head.point:
            return None
        if (since.store_id, since.commit_id) != (head.point.store_id, head.commit_at_served):
            raise StoreUnavailable(f"the log does not have {since} any more, which this was worked out for; try again")
        return since

    def undo(self, later: Iterable[Difference]) -> Work:
        """Take in the writes that undo what commits changed after that point, at the end of ``writes``.

        What the batch writes already it makes what it was before that point.

        Raises:
            OutOfScope: one of them is not for this writer.
        """
        may_write = self.terms.may_write
        for difference in later:
            key = difference.key
            if key.kind != "boost" and key not in self.written:
                if may_write is not None and not may_write(key):
                    raise OutOfScope(key)
                self.writes.append(Write(key, difference.before))
                self.written.add(key)
            yield

    def _check_terms(self, head: Head, current: Mapping[Key, Stored]) -> Work:
        if self.terms.store_id not in (None, head.point.store_id):
            raise StoreUnavailable(f"the store has the id {head.point.store_id}, not {self.terms.store_id}")
        for key, tag in self.terms.expected.items():
            stored = current.get(key)
            fits = stored is not None if tag == PRESENT else tag == (stored.etag if stored else ABSENT)
            if not fits:
                raise PointMismatch(key, tag or None, stored.etag if stored else None)
            yield
        owners: dict[Key, str] = {}
        for write in self.writes:
            stored = current.get(write.key)
            # What changes nothing may be written by anybody: an export can be imported where it came from.
            if stored is not None and stored.body != write.body and (owner := self._other_owner(stored)) is not None:
                owners[write.key] = owner
            yield
        if owners:
            raise OwnedByAnother(owners)

    def _other_owner(self, stored: Stored) -> str | None:
        if self.terms.takeover:
            return None
        try:
            owner = owner_of(stored.body)
        except ValueError:
            return None  # Somebody broke the record by SQL: to write it again mends it.
        return None if owner == self.terms.owner else owner


def _check_write(write: Write) -> None:
    kind, name = write.key.kind, write.key.name
    check_name(f"{kind} name", name)
    if kind == "policy" and name.startswith(BOOST_PREFIX):
        raise ValueError(f"policy name: {BOOST_PREFIX!r} is the beginning of what boosts are called; choose another")
    if write.body is None:
        if kind == "policy" and name == DEFAULT_POLICY:
            raise ValueError(f"policy {DEFAULT_POLICY!r}: cannot be deleted; reset it instead")
    elif b"\\u0000" in write.body and b"\\u0000" in write.body.replace(b"\\\\", b""):
        raise ValueError(f"{kind} {name!r}: no text in it may contain the character U+0000")


def _check_text(field: str, text: str) -> None:
    if "\0" in text:
        raise ValueError(f"{field}: must not contain the character U+0000")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{field}: must be valid Unicode text") from None

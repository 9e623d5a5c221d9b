"""Every way a store can fail its caller. Drivers' own exceptions never leave their adapter."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sampling.records import Key

if TYPE_CHECKING:
    from storage.interface import Point


class StoreError(Exception):
    """The root of all that a store raises. The message is for a person and holds no secret."""


class StoreUnavailable(StoreError):
    """Is raised when the store cannot be reached, does not answer in time, or is read-only or in recovery."""


class StoreUnusable(StoreError):
    """Is raised when the store answers but this program cannot work on it: a newer schema, no permission, not ours."""


class WrongVersion(StoreUnusable):
    """Is raised when the program is too old for the database, or the database's server too old for the program."""


class SchemaOutdated(StoreUnusable):
    """Is raised when an older schema was put in place of the one that was opened: opening it again brings it up to date."""


class StoreEmpty(StoreUnusable):
    """Is raised when there is a database without anything in it, and what is served comes from another."""


class PointMismatch(StoreError):
    """Is raised by a commit when a record is not at the point its writer expected; nothing was changed."""

    def __init__(self, key: Key, expected: str | None, current: str | None) -> None:
        """Both tags are entity tags; None says that the record should be, or is, absent."""
        self.key, self.expected, self.current = key, expected, current
        super().__init__(f"{key.kind} {key.name!r} is at {current or 'no revision'}, not at {expected or 'no revision'}")


class OwnedByAnother(StoreError):
    """Is raised by a commit when records are managed by somebody else; nothing was changed."""

    def __init__(self, owners: Mapping[Key, str]) -> None:
        """``owners`` has every such record of the batch."""
        self.owners = owners
        key, owner = next(iter(owners.items()))
        others = len(owners) - 1
        more = f", and {others} more {'record is' if others == 1 else 'records are'} not this owner's" if others else ""
        super().__init__(f"{key.kind} {key.name!r} is managed by {owner!r}{more}")


class OutOfScope(StoreError):
    """Is raised by a commit that would have to undo what its writer may not write; nothing was changed."""

    def __init__(self, key: Key) -> None:
        self.key = key
        super().__init__(f"{key.kind} {key.name!r} was written meanwhile, and is not in the scope of this writer")


class RevisionUnknown(StoreError):
    """Is raised when the log has no revision of this number."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        super().__init__(f"there is no revision {revision}")


class OutcomeUnknown(StoreError):
    """Is raised when a commit was sent and neither its success nor its failure could be learnt in time."""

    def __init__(self, commit_id: str) -> None:
        self.commit_id = commit_id
        super().__init__(f"the store did not say in time whether commit {commit_id} is there")


class ContentMismatch(StoreError):
    """Is raised when what was read does not come out at its head's checksum: a restore in progress looks so."""


class CopyInvalid(StoreError):
    """Is raised when the bytes of a copy are damaged, cut, or of another format."""


class BackupInvalid(StoreError):
    """Is raised when a file is no backup, a damaged one, or one that this program cannot read."""


class HeadMoved(StoreError):
    """Is raised by a restore when the store is not at the point that was expected; nothing was changed."""

    def __init__(self, point: "Point | None", expected: "Point | None") -> None:
        self.point = point
        super().__init__(f"the store is at {point or 'no point'}, not at {expected or 'no point'}")

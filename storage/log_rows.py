"""How the log stands in the tables, and what is asked of it: the same in every store.

Parameters are called ``$1``, ``$2``, ...
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sampling.records import Key, Kind
from storage.history import Difference, LoggedChange, Revision, Wanted

REVISION = "SELECT revision, commit_id, created_at, actor, reason, checksum FROM revisions WHERE revision = $1"

STATE_AT = """
SELECT changes.kind, changes.key, changes.revision, revisions.commit_id, changes.after
FROM (SELECT key, kind, max(revision) AS revision FROM changes WHERE revision <= $1 GROUP BY key, kind) AS latest
JOIN changes ON changes.key = latest.key AND changes.kind = latest.kind AND changes.revision = latest.revision
JOIN revisions ON revisions.revision = changes.revision
WHERE changes.after IS NOT NULL
"""
"""Every record as it was at a revision, as ``change_of`` takes them."""

# No record is the empty text. The names of kinds are in the same order in every collation.
DIFFERENCES = """
SELECT changed.kind, changed.key, earlier.after, later.after
FROM (
    SELECT key, kind, max(revision) AS revision FROM changes
    WHERE revision > $1 AND revision <= $2 GROUP BY key, kind
) AS changed
JOIN changes AS later ON later.key = changed.key AND later.kind = changed.kind AND later.revision = changed.revision
LEFT JOIN changes AS earlier ON earlier.key = changed.key AND earlier.kind = changed.kind AND earlier.revision = (
    SELECT max(revision) FROM changes WHERE key = changed.key AND kind = changed.kind AND revision <= $1
)
WHERE coalesce(earlier.after, '') <> coalesce(later.after, '')
ORDER BY changed.kind, changed.key
"""
"""What became of each key between two revisions, the earlier one first.

As commits left it, not as the next commit found it: in between somebody may have edited it by SQL.
"""

UNLOGGED = """
SELECT kind, key, revision
FROM (
    SELECT kind, key, revision, before, lag(after) OVER (PARTITION BY key, kind ORDER BY revision) AS known
    FROM changes WHERE revision <= $1
) AS chain
WHERE coalesce(before, '') <> coalesce(known, '') ORDER BY revision, kind, key LIMIT $2
"""
"""Changes that did not find their record as the change before had left it."""

# In SQLite and in PostgreSQL alike, no row of an outer join counts as none. A revision that never had changes, an entry of the
# audit log, has the checksum of the one before it; one that lost all of them has not.
INCOMPLETE = """
SELECT revision FROM (
    SELECT revisions.revision FROM revisions LEFT JOIN changes ON changes.revision = revisions.revision
    WHERE revisions.revision <= $1 GROUP BY revisions.revision
    HAVING count(changes.position) <> coalesce(max(changes.position) + 1, 0)
    OR (count(changes.position) = 0 AND revisions.checksum <> coalesce(
        (SELECT earlier.checksum FROM revisions AS earlier WHERE earlier.revision = revisions.revision - 1), ''
    ))
    UNION ALL
    SELECT earlier.revision + 1 FROM revisions AS earlier
    LEFT JOIN revisions AS later ON later.revision = earlier.revision + 1
    WHERE earlier.revision < $1 AND later.revision IS NULL
) AS incomplete ORDER BY revision LIMIT $2
"""
"""Revisions of which changes are missing, and the first one of each run that is missing altogether."""

_LOGGED = """
SELECT revisions.revision, commit_id, created_at, actor, reason, coalesce(position, 0), kind, key, before, after
FROM {tables} WHERE {conditions}
ORDER BY {first}.revision DESC, changes.position DESC LIMIT {limit:d}
"""
"""SQLite searches the first table first, and need not sort by what it has in order there."""

_WITH_ENTRIES = "revisions LEFT JOIN changes ON changes.revision = revisions.revision"


def logged_query(wanted: Wanted, limit: int, *, instant: str = "created_at") -> tuple[str, list[str | int | datetime]]:
    """The query for the changes that are wanted, as ``logged_change`` takes them, and its parameters.

    ``instant``: what instants are compared with.
    """
    parameters: list[str | int | datetime] = []
    conditions: list[str] = []

    def add(condition: str, *values: str | int | datetime | None) -> None:
        given = [value for value in values if value is not None]
        if given:
            parameters.extend(given)
            numbers = range(len(parameters) - len(given) + 1, len(parameters) + 1)
            conditions.append(condition.format(*(f"${number}" for number in numbers)))

    with_entries = wanted.kind is None and wanted.name is None
    add("kind = {0}", wanted.kind)
    add("key = {0}", wanted.name)
    add("actor = {0}", wanted.actor)
    add("substr(commit_id, 1, length(CAST({0} AS text))) = {0}", wanted.commit_id)
    add("revisions.revision = {0}" if with_entries else "changes.revision = {0}", wanted.revision)
    add(instant + " >= {0}", wanted.since)
    add(instant + " < {0}", wanted.until)
    if with_entries:  # No index knows the whole condition; both products use one for its first half.
        before = "revisions.revision <= {0} AND (revisions.revision < {0} OR coalesce(position, 0) < {1})"
    else:
        before = "(changes.revision, changes.position) < ({0}, {1})"
    add(before, *(wanted.older_than or ()))
    first, second = "changes", "revisions"
    if wanted.kind in {"policy", "boost"}:
        conditions.append("kind <> 'service'")  # So that the index without services fits.
    elif wanted.name is None:
        first, second = second, first
    if with_entries:
        tables = _WITH_ENTRIES
    else:
        tables = f"{first} CROSS JOIN {second}"
        conditions.append("changes.revision = revisions.revision")
    where = " AND ".join(conditions) or "true"
    return _LOGGED.format(first=first, tables=tables, conditions=where, limit=limit), parameters


def logged_change(revision: Revision, row: Sequence[Any]) -> LoggedChange:
    """A change of this revision, of which the row has the rest."""
    position, kind, name, before, after = row
    return LoggedChange(revision, position, None if kind is None else Key(kind, name), _body(before), _body(after))


def difference(kind: Kind, name: str, before: str | None, after: str | None) -> Difference:
    """A row of ``DIFFERENCES``."""
    return Difference(Key(kind, name), _body(before), _body(after))


def _body(record: str | None) -> bytes | None:
    return None if record is None else record.encode()

"""What a write would do: the records that would change, and the answers that would. Nothing is committed."""

from collections.abc import Generator, Sequence
from contextlib import suppress
from itertools import chain
from time import monotonic

import msgspec

from sampling.catalog import Catalog
from sampling.effect import Effect, effect_of
from sampling.records import Key, Stored
from server.sidecar.parts import Parts
from server.sidecar.record_differences import RecordDifference, shown_differences
from storage.commit import Batch
from storage.errors import StoreError, StoreUnavailable
from storage.interface import Head, Terms, Write
from storage.pacing import paced

SHOWN_RECORDS = 1000
"""So many records are listed, the first ones of the batch."""

EFFECT_SECONDS = 5.0


class DryRun(msgspec.Struct, frozen=True, rename="camel"):
    """What a write would change if it were committed on top of ``revision``."""

    dry_run: bool
    revision: int
    records: Sequence[RecordDifference]
    """The first 1000, or 8 MiB of them."""

    record_count: int
    """All that would change."""

    effect: Effect


async def dry_run(parts: Parts, writes: Sequence[Write], terms: Terms) -> DryRun:
    """Plan a batch as a store would, on what is served: on what the store has, unless the store is away.

    Raises:
        ValueError, StoreError: as ``Store.commit``.
    """
    await catch_up_unless_away(parts)
    async with parts.dry_runs:
        return await _planned(parts, writes, terms)


async def catch_up_unless_away(parts: Parts) -> None:
    """Serve what the store has now; what is served already will do while the store is away."""
    if parts.follower.problem is None:
        with suppress(StoreError):
            await parts.follower.catch_up()


async def _planned(parts: Parts, writes: Sequence[Write], terms: Terms) -> DryRun:
    batch = Batch(writes, terms)
    await paced(batch.check())
    before, head = await parts.served.fork()
    await _undo_later(parts, batch, head)
    await paced(batch.plan(head, await paced(_current(before, batch))))
    after = await paced(before.copy_in_slices())
    await paced(after.apply_in_slices(batch.changes))
    names = parts.answers.names()
    effect = await paced(effect_of(before, after, batch.changes, names, monotonic() + EFFECT_SECONDS))
    return DryRun(
        dry_run=True,
        revision=head.point.revision,
        records=shown_differences(batch.rows[:SHOWN_RECORDS]),
        record_count=len(batch.rows),
        effect=effect,
    )


async def _undo_later(parts: Parts, batch: Batch, head: Head) -> None:
    """Take into the batch what undoes the commits after its point, as a store does."""
    since = batch.terms.undo_since
    if since is None or since == head.point:
        return
    if since.revision > head.point.revision:
        raise StoreUnavailable(f"this replica does not serve {since} yet, which this was worked out for; try again")
    await paced(batch.undo((await parts.log().differences(since.revision, head.point.revision)).records))


def _current(catalog: Catalog, batch: Batch) -> Generator[None, None, dict[Key, Stored]]:
    """What is there of that which the batch writes or expects; yields after each slice of work."""
    current = {}
    for key in chain(batch.written, batch.terms.expected):
        if (stored := catalog.records(key.kind).get(key.name)) is not None:
            current[key] = stored
        yield
    return current

"""What one transaction reads and writes to commit a batch."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from storage.commit import Batch
from storage.interface import Point, Write
from storage.log_rows import DIFFERENCES, difference
from storage.pacing import paced
from storage.postgres.connection import WRITE_LIMITS, AnyConnection
from storage.postgres.reader import CHANNEL, read_head
from storage.rows import row_name, stored_by_key

STAGED_ABOVE = 1000
"""Larger batches bring their rows to the server, and are worked out, before they take the counter row."""

_SENT_AT_ONCE = 200
"""Rows that are made ready for sending before polls are let through: about 0.3 ms."""

BEGIN = f"BEGIN ISOLATION LEVEL READ COMMITTED; {WRITE_LIMITS}"

_MORE_TIME = """
SET LOCAL lock_timeout = '10s';
SET LOCAL idle_in_transaction_session_timeout = '10s';
SET LOCAL statement_timeout = '30s'
"""

# Its own statement, without a join: what is read beside a row that had to be waited for is older than that row.
LOCK = "SELECT revision FROM store FOR UPDATE"

_CURRENT = """
SELECT 'service', service_name, revision, commit_id, record FROM tracing_configurations
WHERE service_name = ANY($1::text[])
UNION ALL
SELECT 'policy', name, revision, commit_id, record FROM sampling_policies WHERE name = ANY($2::text[])
"""

_STAGE = """
CREATE TEMPORARY TABLE staged (write integer, kind text, key text, name text COLLATE "C", record text) ON COMMIT DROP
"""

_CURRENT_OF_STAGED = """
SELECT 'service', service_name, revision, commit_id, tracing_configurations.record
FROM staged JOIN tracing_configurations ON kind = 'service' AND service_name = staged.name
UNION ALL
SELECT 'policy', name, revision, commit_id, sampling_policies.record
FROM staged JOIN sampling_policies USING (name) WHERE kind <> 'service'
"""

_GIVEN_ROWS = """
SELECT position - 1 AS position, kind, key, name, before, after
FROM unnest($6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
WITH ORDINALITY AS given (kind, key, name, before, after, position)
"""

_STAGED_ROWS = """
SELECT position - 1 AS position, kind, key, staged.name, coalesce(service.record, policy.record) AS before,
    staged.record AS after
FROM unnest($6::integer[]) WITH ORDINALITY AS changed (write, position)
JOIN staged USING (write)
LEFT JOIN tracing_configurations AS service ON kind = 'service' AND service.service_name = staged.name
LEFT JOIN sampling_policies AS policy ON kind <> 'service' AND policy.name = staged.name
"""


def _apply(rows: str) -> str:
    return f"""
WITH source AS MATERIALIZED ({rows}),
log AS (
    INSERT INTO changes (revision, position, kind, key, before, after)
    SELECT $1::bigint, position, kind, key, before, after FROM source
),
deleted_services AS (
    DELETE FROM tracing_configurations USING source
    WHERE kind = 'service' AND after IS NULL AND service_name = source.name
),
deleted_policies AS (
    DELETE FROM sampling_policies USING source
    WHERE kind <> 'service' AND after IS NULL AND sampling_policies.name = source.name
),
services AS (
    INSERT INTO tracing_configurations (service_name, record, revision, commit_id, created_at, updated_at)
    SELECT name, after, $1, $2, statement_timestamp(), statement_timestamp()
    FROM source WHERE kind = 'service' AND after IS NOT NULL
    ON CONFLICT (service_name) DO UPDATE
    SET (record, revision, commit_id, updated_at) = (excluded.record, $1, $2, excluded.updated_at)
),
policies AS (
    INSERT INTO sampling_policies (name, record, revision, commit_id, created_at, updated_at)
    SELECT name, after, $1, $2, statement_timestamp(), statement_timestamp()
    FROM source WHERE kind <> 'service' AND after IS NOT NULL
    ON CONFLICT (name) DO UPDATE
    SET (record, revision, commit_id, updated_at) = (excluded.record, $1, $2, excluded.updated_at)
),
revision AS (
    INSERT INTO revisions (revision, commit_id, created_at, actor, reason, checksum)
    VALUES ($1, $2, statement_timestamp(), $3, $4, $5)
),
counter AS (UPDATE store SET revision = $1)
SELECT pg_notify('{CHANNEL}', '')
"""  # noqa: S608 - put together from texts of this module


_APPLY_GIVEN = _apply(_GIVEN_ROWS)
_APPLY_STAGED = _apply(_STAGED_ROWS)


async def write(connection: AnyConnection, batch: Batch) -> None:
    """Do all but the COMMIT: afterwards the batch is planned and, if it changes anything, that is written.

    Raises what the driver raises, and what ``Batch.plan`` does.
    """
    begin = BEGIN if batch.is_single else f"{BEGIN}; {_MORE_TIME}"
    if len(batch.writes) <= STAGED_ABOVE:
        await connection.execute(f"{begin}; {LOCK}")
        await _undo_later(connection, batch)
        if len(batch.writes) <= STAGED_ABOVE:
            keys = batch.written | batch.terms.expected.keys()
            services = [key.name for key in keys if key.kind == "service"]
            policies = [row_name(key) for key in keys if key.kind != "service"]
            await _plan(connection, batch, _CURRENT, services, policies)
            await _apply_rows(connection, batch, _APPLY_GIVEN, *_columns(batch))
            return
        await _stage(connection, batch)
        await _plan(connection, batch, _CURRENT_OF_STAGED)
    else:
        await connection.execute(begin)
        await _stage(connection, batch)
        planned_for = await _plan(connection, batch, _CURRENT_OF_STAGED)
        await connection.execute(LOCK)
        staged = len(batch.writes)
        await _undo_later(connection, batch)
        if added := batch.writes[staged:]:
            await connection.copy_records_to_table("staged", records=_staged(added, first=staged))
        if added or (await read_head(connection)).point != planned_for:
            await _plan(connection, batch, _CURRENT_OF_STAGED)
    await _apply_rows(connection, batch, _APPLY_STAGED, [row.write for row in batch.rows])


async def _stage(connection: AnyConnection, batch: Batch) -> None:
    """Bring to the server every key that must be read, so also those that are expected to be at a tag and not written."""
    await connection.execute(_STAGE)
    await connection.copy_records_to_table("staged", records=_staged(batch.writes))
    await connection.copy_records_to_table("staged", records=_expected(batch))


async def _undo_later(connection: AnyConnection, batch: Batch) -> None:
    """Take into the batch what undoes the commits after its point. The counter row must be held."""
    since = batch.terms.undo_since
    if since is None:
        return
    head = await read_head(connection, since.revision)
    if batch.overtaken(head) is not None:
        rows = await connection.fetch(DIFFERENCES, since.revision, head.point.revision)
        await paced(batch.undo(difference(*row) for row in rows))


async def _plan(connection: AnyConnection, batch: Batch, current: str, *arguments: object) -> Point:
    head = await read_head(connection)
    rows = await connection.fetch(current, *arguments)
    await paced(batch.plan(head, await paced(stored_by_key(rows))))
    return head.point


async def _staged(writes: Sequence[Write], first: int = 0) -> AsyncIterator[Sequence[object]]:
    """Writes of a batch, the first of which has this place in it."""
    for index, write in enumerate(writes, first):
        yield index, write.key.kind, write.key.name, row_name(write.key), _text(write.body)
        if index % _SENT_AT_ONCE == 0:
            await asyncio.sleep(0)


async def _expected(batch: Batch) -> AsyncIterator[Sequence[object]]:
    """Keys that are expected to be at a tag and not written."""
    for key in batch.terms.expected.keys() - batch.written:
        yield None, key.kind, key.name, row_name(key), None


async def _apply_rows(connection: AnyConnection, batch: Batch, apply: str, *rows: object) -> None:
    if batch.is_revision:
        point, checksum = batch.head.point, f"{batch.head.checksum:016x}"
        await connection.execute(apply, point.revision, point.commit_id, batch.terms.actor, batch.terms.reason, checksum, *rows)


def _columns(batch: Batch) -> Sequence[Sequence[str | None]]:
    keys = [row.key for row in batch.rows]
    return (
        [key.kind for key in keys],
        [key.name for key in keys],
        [row_name(key) for key in keys],
        [_text(row.before) for row in batch.rows],
        [_text(row.after) for row in batch.rows],
    )


def _text(body: bytes | None) -> str | None:
    return body.decode() if body is not None else None

"""Which way the log is searched: never through all changes of many services."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage.history import Wanted
from storage.log_rows import logged_query
from storage.sqlite import SqliteStore

NEWEST = ["SCAN revisions", "SEARCH changes USING INDEX sqlite_autoindex_changes_1 (revision=?)"]
"""Revisions from the newest one on, and the changes of those that fit."""

FROM_A_REVISION = ["SEARCH revisions", NEWEST[1]]
OF_KIND = ["SEARCH changes USING INDEX idx_changes_not_service (kind=?", "SEARCH revisions"]
OF_NAME = ["SEARCH changes USING INDEX idx_changes_key (key=?)", "SEARCH revisions", "USE TEMP B-TREE FOR ORDER BY"]
OF_RECORD = [
    "SEARCH changes USING INDEX idx_changes_key (key=? AND kind=?)",
    "SEARCH revisions",
    "USE TEMP B-TREE FOR RIGHT PART OF ORDER BY",  # Of the position, which has one value in each revision.
]


@pytest.mark.parametrize(
    ("wanted", "plan"),
    [
        (Wanted(), NEWEST),
        (Wanted(actor="a", commit_id="c"), NEWEST),
        (Wanted(kind="service", actor="a"), NEWEST),
        (Wanted(revision=1), FROM_A_REVISION),
        (Wanted(older_than=(7, 50_000)), FROM_A_REVISION),
        (Wanted(name="n"), OF_NAME),
        (Wanted(kind="service", name="n"), OF_RECORD),
        (Wanted(kind="boost"), OF_KIND),
        (Wanted(kind="policy", actor="a"), OF_KIND),
    ],
)
async def test_the_log_is_searched_by_an_index(tmp_path: Path, wanted: Wanted, plan: list[str]) -> None:
    store = SqliteStore(tmp_path / "tracing-config.db")
    await store.open()
    await store.close()
    query, parameters = logged_query(wanted, 10)
    with closing(sqlite3.connect(tmp_path / "tracing-config.db")) as connection:
        named = {str(number): str(value) for number, value in enumerate(parameters, 1)}
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", named)]
    assert len(steps) == len(plan), steps
    for step, beginning in zip(steps, plan, strict=True):
        assert step.startswith(beginning), steps

"""Entries of the audit log: revisions that change no record."""

from storage.history import Flaws, LoggedStore, Wanted
from storage.interface import Terms
from tests.contract.conftest import OpenStore
from tests.contract.databases import Database
from tests.contract.writes import commit, deletion, everything, service

ENTRY = Terms(actor="me", reason="what was done elsewhere", entry=True)


async def test_an_entry_is_a_revision_of_its_own_that_changes_no_record(store: LoggedStore) -> None:
    await commit(store, service("a"))
    before, records = await store.head(), await everything(store)
    committed = await store.commit([], ENTRY)
    head = await store.head(before.point.revision)
    assert committed.changes == []
    assert committed.head.point == head.point
    assert head.point.revision == before.point.revision + 1
    assert (head.checksum, head.commit_at_served) == (before.checksum, before.point.commit_id)
    assert await everything(store) == records
    news = await store.changes_since(before.point.revision)
    assert (news.head.point, list(news.changes)) == (head.point, [])


async def test_without_that_term_nothing_is_still_committed_as_nothing(store: LoggedStore) -> None:
    before = (await store.head()).point
    assert (await store.commit([], Terms(actor="me"))).head.point == before == (await store.head()).point


async def test_other_replicas_hear_of_an_entry(store: LoggedStore, open_store: OpenStore, database: Database) -> None:
    waiting = store if database.new_store().name == "SQLite" else await open_store()  # One process works on a file.
    await waiting.head()
    await waiting.wait_for_news(0.01)
    await store.commit([], ENTRY)
    started = (await store.head()).clock
    await waiting.wait_for_news(10)
    assert (await store.head()).clock - started < 5


async def test_an_entry_is_told_among_the_changes_and_is_of_no_record(store: LoggedStore) -> None:
    await commit(store, service("a"))
    point = (await store.commit([], ENTRY)).head.point
    await commit(store, service("a", 0.7))
    newest, entry, oldest = await store.logged(Wanted(), 3)
    assert (entry.revision.revision, entry.position, entry.key, entry.before, entry.after) == (2, 0, None, None, None)
    assert (entry.revision.actor, entry.revision.reason) == ("me", "what was done elsewhere")
    assert (entry.revision.commit_id, entry.revision) == (point.commit_id, await store.revision(2))
    assert (newest.revision.revision, oldest.revision.revision) == (3, 1)
    for wanted in (Wanted(actor="me"), Wanted(revision=2), Wanted(commit_id=point.commit_id), Wanted(older_than=(3, 0))):
        assert (await store.logged(wanted, 1)) == [entry], wanted
    for wanted in (Wanted(kind="service"), Wanted(kind="policy"), Wanted(kind="boost"), Wanted(name="a")):
        assert entry not in await store.logged(wanted, 10), wanted


async def test_the_past_is_the_same_with_and_without_entries(store: LoggedStore) -> None:
    before = (await commit(store, service("a"), service("b"))).head.point
    await store.commit([], ENTRY)
    await commit(store, deletion(service("a")))
    last = (await store.commit([], ENTRY)).head
    assert [each.key.name for each in (await store.differences(before.revision, None)).records] == ["a"]
    assert (await store.differences(1, 2)).records == (await store.differences(3, 4)).records == []
    async with store.state_at(2) as load:
        records = {change.key.name: change.record async for chunk in load for change in chunk}
    assert {"a", "b"} < set(records)
    async with store.state_at(4) as load:
        assert load.head.checksum == last.checksum
    # What undoes the commits since an entry was made of it: the entries in between are in nobody's way.
    undone = await store.commit([service("a")], Terms(actor="me", undo_since=before))
    assert [change.key.name for change in undone.changes] == ["a"]


async def test_a_log_with_entries_is_whole_and_one_whose_changes_were_deleted_is_not(
    store: LoggedStore, database: Database
) -> None:
    await commit(store, service("a"))
    await store.commit([], ENTRY)
    await store.commit([], ENTRY)
    await commit(store, service("a", 0.7))
    assert await store.flaws(10) == Flaws([], [])
    await database.ask("DELETE FROM changes WHERE revision = 4")
    assert (await store.flaws(10)).incomplete == [4]
    await database.ask("DELETE FROM changes WHERE revision = 1")
    assert (await store.flaws(10)).incomplete == [1, 4]
    await database.ask("DELETE FROM revisions WHERE revision = 2")
    assert 2 in (await store.flaws(10)).incomplete

"""What every store tells of its past."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

import storage.postgres.history
import storage.postgres.reader
import storage.sqlite.store
from sampling.records import KINDS, Change, Key, Kind, ServiceConfiguration, Stored, encode_record
from storage.checksum import checksum_of
from storage.errors import ContentMismatch, RevisionUnknown, StoreUnavailable
from storage.history import LOGGED_BYTES, Difference, Flaws, LoggedChange, LoggedStore, Wanted
from storage.interface import Head, Load, Terms, Write
from tests.contract.conftest import OpenStore
from tests.contract.databases import Database, PostgresDatabase
from tests.contract.writes import DEFAULT, DEFAULT_BODY, boost, commit, deletion, everything, policy, service

NAMES = ["a", "B", "ä", "\uffff", "🦉", "a/b", "it's"]
"""In no collation but the bytewise one they are in this order: B, a, a/b, it's, ä, U+FFFF, the owl."""

State = dict[Key, Stored]


async def rich_history(store: LoggedStore, seed: int, *, steps: int = 10) -> list[tuple[Head, State]]:
    """Commits of every kind by three actors; what the head and the tables were at each revision."""
    chance = random.Random(seed)
    states = [(await store.head(), await everything(store))]
    while len(states) <= steps:
        # Once more than what is staged.
        size = 1_200 if len(states) == 6 else chance.choice((1, 1, 2, 12))
        names = NAMES + [f"many {number}" for number in range(1_400)] if size > 100 else NAMES
        keys = chance.sample([(maker, name) for maker in (service, policy, boost) for name in names], size)
        writes = [maker(name, chance.choice((0, 1))) for maker, name in keys]
        writes = [deletion(write) if chance.random() < 0.3 else write for write in writes]
        if chance.random() < 0.3:
            writes.append(Write(DEFAULT, chance.choice((DEFAULT_BODY, policy("default").body))))
        is_entry = chance.random() < 0.2
        terms = Terms(actor=chance.choice("xyz"), reason=f"step {len(states)}", entry=is_entry)
        committed = await store.commit([] if is_entry else writes, terms)
        if committed.head.point.revision == len(states):
            states.append((committed.head, await everything(store)))
    return states


async def records_of(load: Load) -> State:
    records: State = {}
    async for chunk in load:
        assert len(chunk) <= 1_000
        for change in chunk:
            assert change.record is not None
            records[change.key] = change.record
    return records


async def state_at(store: LoggedStore, revision: int) -> State:
    async with store.state_at(revision) as load:
        return await records_of(load)


async def all_logged(store: LoggedStore) -> list[LoggedChange]:
    return list(await store.logged(Wanted(), 100_000))


def places(changes: list[LoggedChange]) -> list[tuple[int, int]]:
    return [(change.revision.revision, change.position) for change in changes]


async def test_the_log_is_told_newest_first_with_who_when_and_why(store: LoggedStore) -> None:
    before = await store.head()
    old, new = service("a", 0.1), service("a", 0.2)
    first = (await store.commit([old, boost("b")], Terms(actor="me", reason="why"))).head.point
    second = (await store.commit([new, deletion(boost("b"))], Terms(actor="you"))).head.point
    logged = await all_logged(store)
    assert [(change.revision.revision, change.position, change.key, change.before, change.after) for change in logged] == [
        (2, 1, Key("boost", "b"), boost("b").body, None),
        (2, 0, Key("service", "a"), old.body, new.body),
        (1, 1, Key("boost", "b"), None, boost("b").body),
        (1, 0, Key("service", "a"), None, old.body),
        (0, 0, DEFAULT, None, DEFAULT_BODY),
    ]
    assert [(change.revision.commit_id, change.revision.actor, change.revision.reason) for change in logged] == [
        *[(second.commit_id, "you", "")] * 2,
        *[(first.commit_id, "me", "why")] * 2,
        (before.point.commit_id, "tracing-config", "first migration"),
    ]
    assert await store.logged(Wanted(), 3) == logged[:3]


async def test_the_time_of_a_commit_is_the_stores_clock_in_utc(store: LoggedStore) -> None:
    before = (await store.head()).clock
    await commit(store, service("a"))
    revision = await store.revision(1)
    assert revision.at.utcoffset() == timedelta(0)
    # SQLite keeps whole milliseconds.
    assert before - 0.001 <= revision.at.timestamp() <= (await store.head()).clock
    [change] = await store.logged(Wanted(revision=1), 10)
    assert change.revision == revision


def reference(log: list[LoggedChange], wanted: Wanted) -> list[LoggedChange]:
    """Those of the whole log that are wanted, by the words of ``Wanted``."""
    return [
        change
        for change in log
        if wanted.kind in (None, change.key and change.key.kind)
        and wanted.name in (None, change.key and change.key.name)
        and wanted.actor in (None, change.revision.actor)
        and change.revision.commit_id.startswith(wanted.commit_id or "")
        and wanted.revision in (None, change.revision.revision)
        and (wanted.since is None or change.revision.at >= wanted.since)
        and (wanted.until is None or change.revision.at < wanted.until)
        and (wanted.older_than is None or (change.revision.revision, change.position) < wanted.older_than)
    ]


async def test_since_is_at_an_instant_or_later_and_until_is_before_it_to_the_microsecond(store: LoggedStore) -> None:
    await commit(store, service("a"))
    at = (await store.revision(1)).at
    finer = timedelta(microseconds=1)
    far = timezone(timedelta(hours=-9, minutes=-30))
    for instant, is_since, is_until in ((at - finer, True, False), (at, True, False), (at + finer, False, True)):
        for zone in (UTC, far):
            since = await store.logged(Wanted(name="a", since=instant.astimezone(zone)), 10)
            until = await store.logged(Wanted(name="a", until=instant.astimezone(zone)), 10)
            assert (len(since), len(until)) == (is_since, is_until), instant - at


@pytest.mark.parametrize("kind", [None, *KINDS])
async def test_filters_combine_and_none_lets_anything_else_through(store: LoggedStore, kind: Kind | None) -> None:
    await rich_history(store, 1)
    log = await all_logged(store)
    assert any(change.key is None for change in log)
    chance = random.Random(2)
    found = 0
    for _ in range(12):
        example, other = chance.choice(log), chance.choice(log)
        choices: dict[str, Any] = {
            "name": example.key and example.key.name,
            "actor": example.revision.actor,
            "commit_id": example.revision.commit_id[: chance.choice((1, 8, 16))],
            "revision": example.revision.revision,
            "since": chance.choice((example, other)).revision.at + timedelta(microseconds=chance.choice((0, 0, 1))),
            "until": chance.choice((example, other)).revision.at + timedelta(microseconds=chance.choice((0, 1, 1))),
            "older_than": (other.revision.revision, other.position),
        }
        given = chance.sample(sorted(choices), chance.choice((0, 1, 1, 2, 3)))
        wanted = Wanted(kind=kind, **{name: choices[name] for name in given})
        expected = reference(log, wanted)
        found += len(expected)
        limit = chance.choice((2, 5_000))
        assert await store.logged(wanted, limit) == expected[:limit], wanted
    assert found > 12


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(name="nobody"),
        Wanted(actor="nobody"),
        Wanted(actor="%"),
        Wanted(commit_id="zz"),
        Wanted(commit_id="_"),
        Wanted(revision=2**63 - 1),
        Wanted(since=datetime.max.replace(tzinfo=UTC)),
        Wanted(until=datetime.min.replace(tzinfo=UTC)),
        Wanted(older_than=(0, 0)),
    ],
)
async def test_what_is_not_in_the_log_is_not_found(store: LoggedStore, wanted: Wanted) -> None:
    await commit(store, service("a"))
    assert await store.logged(wanted, 10) == []


@pytest.mark.parametrize("filters", [{}, {"name": "a"}, {"kind": "boost"}, {"kind": "service", "actor": "tests"}])
async def test_pages_have_every_change_once_also_with_commits_in_between(store: LoggedStore, filters: dict[str, Any]) -> None:
    await commit(store, *(maker(name) for maker in (service, policy, boost) for name in NAMES))
    for number in range(5):
        await commit(store, service("a", number / 10), boost("a", number / 10), boost("b", number / 10))
    expected = await store.logged(Wanted(**filters), 1_000)
    assert len(expected) > 5
    paged: list[LoggedChange] = []
    while page := await store.logged(Wanted(older_than=places(paged)[-1] if paged else None, **filters), 3):
        paged += page
        await commit(store, service("a", random.random()), boost("new", random.random()))
    assert paged == expected


async def test_a_revision_is_told_and_one_that_is_not_there_is_unknown(store: LoggedStore) -> None:
    committed = await store.commit([service("a")], Terms(actor="me", reason="why"))
    revision = await store.revision(1)
    assert (revision.revision, revision.commit_id) == (1, committed.head.point.commit_id)
    assert (revision.actor, revision.reason) == ("me", "why")
    for number in (2, -1, 2**63 - 1):
        questions: list[Awaitable[object]] = [
            store.revision(number),
            store.differences(number, None),
            store.differences(0, number),
            state_at(store, number),
        ]
        for question in questions:
            with pytest.raises(RevisionUnknown) as caught:
                await question
            assert caught.value.revision == number


async def test_the_state_at_every_revision_is_what_the_tables_were(store: LoggedStore) -> None:
    states = await rich_history(store, 5)
    for head, records in states:
        async with store.state_at(head.point.revision) as load:
            assert await records_of(load) == records
            assert (load.head.point, load.head.checksum) == (head.point, head.checksum)
            assert load.head.checksum == checksum_of(Change(key, record) for key, record in records.items())
            assert load.head.clock >= states[-1][0].clock


@pytest.mark.parametrize("seed", range(2))
async def test_all_changes_replayed_from_nothing_are_the_tables_and_every_checksum(store: LoggedStore, seed: int) -> None:
    states = await rich_history(store, seed)
    replayed: State = {}
    log = (await all_logged(store))[::-1]
    for number, (head, _) in enumerate(states):
        for position, change in enumerate(change for change in log if change.revision.revision == number):
            assert change.position == position
            if change.key is None:
                continue
            known = replayed.pop(change.key, None)
            assert change.before == (known.body if known else None)
            if change.after is not None:
                replayed[change.key] = Stored(number, change.revision.commit_id, change.after)
        assert checksum_of(Change(key, record) for key, record in replayed.items()) == head.checksum
    assert replayed == await everything(store)


EDITS = [
    "UPDATE tracing_configurations SET record = '{\"enabled\":false}' WHERE service_name = 'a'",
    "UPDATE tracing_configurations SET revision = 0 WHERE service_name = 'a'",
    "UPDATE sampling_policies SET commit_id = 'made up' WHERE name = 'boost:a'",
    "DELETE FROM sampling_policies WHERE name = 'p'",
    """
    INSERT INTO tracing_configurations (service_name, record, revision, commit_id, created_at, updated_at)
    SELECT 'smuggled', record, revision, commit_id, created_at, updated_at FROM tracing_configurations
    """,
]


@pytest.mark.parametrize("edit", EDITS)
async def test_the_state_is_made_of_the_log_so_an_edit_behind_its_back_is_seen(
    store: LoggedStore, database: Database, edit: str
) -> None:
    committed = await commit(store, service("a"), boost("a"), policy("p"))
    before = await everything(store)
    assert await state_at(store, 1) == before
    await database.ask(edit)
    assert await everything(store) != before
    async with store.state_at(1) as load:
        assert await records_of(load) == before
    assert load.head.checksum == committed.head.checksum


async def test_a_checksum_that_somebody_overwrote_is_told_of(store: LoggedStore, database: Database) -> None:
    await commit(store, service("a"))
    await database.ask("UPDATE revisions SET checksum = 'none'")
    for question in (state_at(store, 1), store.head(), everything(store)):
        with pytest.raises(ContentMismatch, match="'none'"):
            await question


async def test_differences_are_what_two_states_compared_are(store: LoggedStore) -> None:
    states = await rich_history(store, 3)
    chance = random.Random(4)
    for before, after in [(3, 3), (5, 6), (6, 5), *(chance.choices(range(len(states)), k=2) for _ in range(12))]:
        old, new = states[before][1], states[after][1]
        differences = await store.differences(before, after)
        assert differences.head == states[-1][0].point
        texts = {key: (old[key].body if key in old else None, new[key].body if key in new else None) for key in old | new}
        changed = [(key, *both) for key, both in texts.items() if both[0] != both[1]]
        changed.sort(key=lambda each: (each[0].kind, each[0].name.encode()))
        assert differences.records == [Difference(*each) for each in changed]
    assert await store.differences(2, None) == await store.differences(2, len(states) - 1)


async def test_differences_are_of_what_commits_left_also_where_an_edit_behind_the_log_was_overwritten(
    store: LoggedStore, database: Database
) -> None:
    await commit(store, service("a", 0.5))
    edited = "record = replace(record, '0.5', '0.25')"
    await database.ask(f"UPDATE tracing_configurations SET {edited}")
    await commit(store, service("a", 0.75))
    [difference] = (await store.differences(1, 2)).records
    assert (difference.before, difference.after) == (service("a", 0.5).body, service("a", 0.75).body)
    assert (await state_at(store, 1))[Key("service", "a")].body == difference.before


async def test_what_was_changed_and_changed_back_is_no_difference(store: LoggedStore) -> None:
    await commit(store, service("a", 0.1), service("kept"))
    await commit(store, service("a", 0.2), boost("b"), deletion(service("kept")))
    await commit(store, deletion(service("a")), deletion(boost("b")), service("kept"))
    await commit(store, service("a", 0.1))
    assert (await store.differences(1, None)).records == []
    assert [each.key.name for each in (await store.differences(2, 4)).records] == ["b", "a", "kept"]


async def test_a_state_is_read_while_others_write_and_may_be_left_in_the_middle(
    store: LoggedStore, open_store: OpenStore
) -> None:
    await commit(store, *(service(f"s{number}") for number in range(1_500)))
    before = await everything(store)
    other = await open_store()
    read: State = {}
    async with store.state_at(1) as load:
        async for chunk in load:
            await commit(other, deletion(service(f"s{len(read)}")), service("s7", random.random()))
            read.update((change.key, change.record) for change in chunk if change.record)
    assert read == before

    async def read_one_chunk() -> None:
        async with store.state_at(1) as load:
            async for _ in load:
                raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        await read_one_chunk()
    assert await state_at(store, 1) == before


async def test_questions_in_the_middle_of_their_answers_hold_up_neither_followers_nor_writers(store: LoggedStore) -> None:
    await commit(store, *(service(f"s{number}") for number in range(1_500)))
    async with AsyncExitStack() as asked:
        for _ in range(2):
            load = await asked.enter_async_context(store.state_at(1))
            await anext(aiter(load))
        async with asyncio.timeout(5):
            await commit(store, service("a"))
            await store.accept("0" * 32)
            assert (await store.head()).point.revision == 2
            assert len((await store.changes_since(1)).changes) == 1
            assert len(await everything(store)) == 1_502


async def test_more_questions_than_are_asked_at_once_are_all_answered(store: LoggedStore) -> None:
    await commit(store, *(service(f"s{number}") for number in range(600)))
    answers = await asyncio.gather(*(store.differences(0, None) for _ in range(12)))
    assert {len(answer.records) for answer in answers} == {600}


ASKED: dict[str, Callable[[LoggedStore], Awaitable[object]]] = {
    "logged": lambda store: store.logged(Wanted(), 10),
    "revision": lambda store: store.revision(0),
    "differences": lambda store: store.differences(0, None),
    "state_at": lambda store: state_at(store, 0),
}


@pytest.mark.parametrize("question", ASKED)
async def test_a_store_that_is_not_open_is_unavailable(database: Database, question: str) -> None:
    ask = ASKED[question]
    store = database.new_store()
    with pytest.raises(StoreUnavailable):
        await ask(store)
    await store.open()
    await ask(store)
    await store.close()
    with pytest.raises(StoreUnavailable):
        await ask(store)


@pytest.fixture
async def slow_log(store: LoggedStore, database: Database, monkeypatch: pytest.MonkeyPatch) -> LoggedStore:
    """A store whose log takes longer to read than a question may."""
    await commit(store, service("a"))
    monkeypatch.setattr(storage.sqlite.store, "HISTORY_SECONDS", 0.3)
    monkeypatch.setattr(storage.postgres.history, "HISTORY_SECONDS", 0.3)
    monkeypatch.setattr(storage.postgres.reader, "ROWS_SECONDS", 0.3)
    endless = "(WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n)"
    await database.ask("ALTER TABLE changes RENAME TO log")
    slow = "pg_sleep(60)" if isinstance(database, PostgresDatabase) else endless
    await database.ask(f"CREATE VIEW changes AS SELECT log.* FROM log, {slow} AS slow")
    return store


@pytest.mark.parametrize("question", ["logged", "differences", "state_at"])
async def test_a_question_that_takes_too_long_fails_in_time_and_is_not_worked_on_any_more(
    slow_log: LoggedStore, database: Database, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailable, match=r"in time|timeout|interrupted"):
            await ASKED[question](slow_log)
        monkeypatch.undo()
        await slow_log.revision(0)
        working = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%changes%'"
        while isinstance(database, PostgresDatabase) and await database.ask(f"{working} AND pid <> pg_backend_pid()") != [(0,)]:
            pass


async def test_cancelled_questions_are_not_worked_on_any_more(slow_log: LoggedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    for number in range(6):
        questions = [asyncio.create_task(slow_log.differences(0, None)) for _ in range(3)]
        for question in questions:
            loop.call_later(number * 0.01, question.cancel)
        await asyncio.wait(questions)
    monkeypatch.undo()
    async with asyncio.timeout(5):
        await slow_log.revision(0)


@pytest.mark.parametrize("question", ["logged", "differences", "state_at"])
async def test_a_question_that_takes_long_holds_up_nobody_who_follows(
    slow_log: LoggedStore, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    monkeypatch.undo()
    asked = asyncio.ensure_future(ASKED[question](slow_log))
    for _ in range(3):
        assert len(await everything(slow_log)) == 2
        assert (await slow_log.head()).point.revision == 1
    assert not asked.done()
    asked.cancel()
    await asyncio.wait([asked])


async def test_a_page_of_long_texts_is_shorter_and_the_next_goes_on_after_it(store: LoggedStore) -> None:
    long = ServiceConfiguration(description="x" * 1_000_000)
    writes = [Write(Key("service", f"s{number:02}"), encode_record(long)) for number in range(20)]
    await store.commit(writes, Terms(actor="t"))
    first = await store.logged(Wanted(revision=1), 100)
    assert 1 < len(first) < 20
    assert sum(change.size for change in first[:-1]) <= LOGGED_BYTES < sum(change.size for change in first)
    found = list(first)
    while page := await store.logged(Wanted(revision=1, older_than=(1, found[-1].position)), 100):
        found += page
    assert [change.key and change.key.name for change in found] == [write.key.name for write in reversed(writes)]


async def test_a_whole_log_has_no_flaws(store: LoggedStore) -> None:
    await rich_history(store, 3)
    assert await store.flaws(10) == Flaws([], [])


async def test_a_log_from_which_somebody_took_something_says_where(store: LoggedStore, database: Database) -> None:
    for number in range(8):
        await commit(store, service("a", number / 10), service(f"s{number}"), service(f"t{number}"))
    await database.ask("DELETE FROM changes WHERE revision = 2 AND position = 1")
    await database.ask("DELETE FROM changes WHERE revision = 3")
    await database.ask("DELETE FROM revisions WHERE revision IN (5, 6)")
    flaws = await store.flaws(10)
    assert flaws.incomplete == [2, 3, 5]
    assert flaws.unlogged == [(Key("service", "a"), 4)]
    assert await store.flaws(1) == Flaws([2], [(Key("service", "a"), 4)])


async def test_a_commit_that_found_what_no_other_had_left_is_told(store: LoggedStore, database: Database) -> None:
    await commit(store, service("a", 0.5), service("b", 0.5), policy("a"))
    await database.ask("DELETE FROM tracing_configurations WHERE service_name = 'a'")
    await commit(store, service("a", 0.75), service("b", 0.75), policy("a", 3))
    await commit(store, deletion(service("a")))
    assert await store.flaws(10) == Flaws([], [(Key("service", "a"), 2)])

"""What every store promises to one caller."""

import random

import pytest

from sampling.records import Change, Key, Stored
from storage.checksum import checksum_of
from storage.errors import OwnedByAnother, PointMismatch, StoreUnavailable, StoreUnusable
from storage.interface import ABSENT, PRESENT, Store, Terms, Write
from tests.contract.conftest import OpenStore
from tests.contract.databases import Database
from tests.contract.writes import (
    DEFAULT,
    DEFAULT_BODY,
    bodies,
    boost,
    commit,
    deletion,
    everything,
    policy,
    service,
)

A_B_TREE_KEY = "n" * 1024

NAMES = ["a/b", "it's", 'say "hi"', "back\\slash", "%s {x} $1 ?1", "emoji 🦉", "ünïcödé", A_B_TREE_KEY, "é" * 512, "boost:x"]


async def test_a_new_store_holds_the_silent_default_at_revision_0(store: Store) -> None:
    head = await store.head(0)
    assert head.point.revision == 0
    assert len(bytes.fromhex(head.point.store_id)) == 16
    assert len(bytes.fromhex(head.point.commit_id)) == 8
    assert head.commit_at_served == head.point.commit_id
    records = await everything(store)
    assert records == {DEFAULT: Stored(0, head.point.commit_id, DEFAULT_BODY)}
    assert head.checksum == checksum_of(Change(key, record) for key, record in records.items())


async def test_a_store_that_is_opened_again_is_the_same_history(store: Store, open_store: OpenStore) -> None:
    committed = await commit(store, service("a"))
    await store.close()
    again = await open_store()
    assert (await again.head()).point == committed.head.point
    assert await everything(again) == {**await everything(again), Key("service", "a"): committed.changes[0].record}


async def test_a_store_that_is_not_open_is_unavailable_and_makes_nothing(database: Database) -> None:
    store = database.new_store()
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await store.head()
        with pytest.raises(StoreUnavailable):
            await store.changes_since(0)
        with pytest.raises(StoreUnavailable):
            await everything(store)
        with pytest.raises(StoreUnavailable):
            await commit(store, service("a"))
        await store.open()
        await commit(store, service("b"))
        await store.close()
        await store.close()
    await store.open()
    assert (await store.head()).point.revision == 1
    await store.close()


async def test_a_commit_is_the_new_head(store: Store) -> None:
    before = await store.head()
    committed = await commit(store, service("a"), policy("p"), boost("a"))
    point = committed.head.point
    assert (point.store_id, point.revision) == (before.point.store_id, 1)
    assert point.commit_id != before.point.commit_id
    assert [change.key for change in committed.changes] == [Key("service", "a"), Key("policy", "p"), Key("boost", "a")]
    assert {change.record and change.record.revision for change in committed.changes} == {1}
    assert {change.record and change.record.commit_id for change in committed.changes} == {point.commit_id}
    head = await store.head(0)
    assert (head.point, head.checksum) == (point, committed.head.checksum)
    assert head.commit_at_served == before.point.commit_id
    assert head.clock >= before.clock
    assert not head.in_recovery


async def test_a_revision_that_the_store_does_not_have_has_no_commit_id(store: Store) -> None:
    assert (await store.head(1)).commit_at_served is None
    assert (await store.head()).commit_at_served is None


async def test_news_is_the_last_state_of_each_key_that_changed_since(store: Store) -> None:
    await commit(store, service("kept"), service("twice", 0.1), service("deleted"), boost("deleted"))
    await commit(store, service("twice", 0.2), policy("p"), boost("b"))
    await commit(store, service("twice", 0.3), deletion(service("deleted")), deletion(boost("deleted")))
    records = await everything(store)
    news = await store.changes_since(1)
    assert news.head.point == (await store.head()).point
    assert {change.key: change.record for change in news.changes} == {
        Key("service", "twice"): records[Key("service", "twice")],
        Key("policy", "p"): records[Key("policy", "p")],
        Key("boost", "b"): records[Key("boost", "b")],
        Key("service", "deleted"): None,
        Key("boost", "deleted"): None,
    }
    assert len(news.changes) == 5
    assert not (await store.changes_since(3)).changes
    assert not (await store.changes_since(99)).changes


async def test_a_load_is_what_was_there_when_it_began(store: Store, open_store: OpenStore) -> None:
    await commit(store, *(service(f"s{number}") for number in range(2_500)))
    before = await everything(store)
    other = await open_store()
    loaded: dict[Key, Stored] = {}
    async with store.load() as load:
        async for chunk in load:
            assert len(chunk) <= 1_000
            await commit(other, service("s7", random.random()), service(f"new {len(loaded)}"))
            loaded.update((change.key, change.record) for change in chunk if change.record)
    assert loaded == before
    assert load.head.checksum == checksum_of(Change(key, record) for key, record in loaded.items())
    assert (await store.head()).point.revision > load.head.point.revision


async def test_a_load_may_be_left_in_the_middle(store: Store) -> None:
    await commit(store, *(service(f"s{number}") for number in range(1_500)))

    async def read_one_chunk() -> None:
        async with store.load() as load:
            async for _ in load:
                raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        await read_one_chunk()
    async with store.load():
        pass
    await commit(store, service("a"))
    assert (await store.head()).point.revision == 2


async def test_a_record_must_be_at_its_expected_tag(store: Store) -> None:
    write = service("a")
    first = (await store.commit([write], Terms(actor="", reason="", expected={write.key: ABSENT}))).changes[0].record
    assert first is not None
    newer = service("a", 0.6)
    second = (await store.commit([newer], Terms(actor="", reason="", expected={write.key: first.etag}))).changes[0].record
    assert second is not None
    for writes, tag in (
        ([service("a", 0.7)], first.etag),
        ([service("a", 0.7)], ABSENT),
        ([newer], first.etag),
        ([service("b", 0.7)], first.etag),
    ):
        with pytest.raises(PointMismatch) as caught:
            await store.commit([*writes, service("c")], Terms(actor="", reason="", expected={write.key: tag}))
        assert (caught.value.key, caught.value.expected, caught.value.current) == (write.key, tag or None, second.etag)
    with pytest.raises(PointMismatch) as caught:
        await store.commit([service("b")], Terms(actor="", reason="", expected={Key("boost", "a"): first.etag}))
    assert caught.value.current is None
    assert (await store.head()).point.revision == 2
    assert (await everything(store)).keys() == {DEFAULT, write.key}


async def test_a_record_may_be_expected_at_whatever_tag(store: Store) -> None:
    write = service("a")
    for writes in ([write], [service("b"), deletion(write)]):
        with pytest.raises(PointMismatch) as caught:
            await store.commit(writes, Terms(actor="", expected={write.key: PRESENT}))
        assert (caught.value.key, caught.value.current) == (write.key, None)
    assert (await store.head()).point.revision == 0
    await commit(store, write)
    await store.commit([deletion(write)], Terms(actor="", expected={write.key: PRESENT}))
    assert write.key not in await bodies(store)


async def test_a_record_is_written_by_its_owner_or_taken_over(store: Store) -> None:
    owned, free = service("owned", managed_by="ci"), service("free")
    await commit(store, owned, free)
    await store.commit([free, owned], Terms(actor="", owner="somebody"))
    for writes in (
        [service("owned")],
        [deletion(owned)],
        [free, deletion(owned)],
        [service("free", 0.9), service("owned", 0.1)],
    ):
        for owner in (None, "somebody"):
            with pytest.raises(OwnedByAnother) as caught:
                await store.commit(writes, Terms(actor="", reason="", owner=owner))
            assert caught.value.owners == {owned.key: "ci"}
    assert (await store.head()).point.revision == 1
    await store.commit([service("owned", 0.2, managed_by="ci"), service("free", 0.2)], Terms(actor="", reason="", owner="ci"))
    await store.commit([service("owned", 0.3)], Terms(actor="", reason="", takeover=True))
    await store.commit([service("owned", 0.4)], Terms(actor="", reason="", owner="somebody"))
    assert (await bodies(store))[owned.key] == service("owned", 0.4).body


async def test_a_batch_that_changes_nothing_commits_nothing(store: Store) -> None:
    done = await commit(store, service("a"), boost("a"))
    head = await store.head()
    for writes in ([], [service("a")], [service("a"), boost("a"), deletion(service("b")), Write(DEFAULT, DEFAULT_BODY)]):
        committed = await commit(store, *writes)
        assert not committed.changes
        assert (committed.head.point, committed.head.checksum) == (done.head.point, done.head.checksum)
    assert (await store.head()).point == head.point


async def test_only_what_changes_is_in_a_commit(store: Store) -> None:
    await commit(store, service("a"), service("b"))
    committed = await commit(store, service("a"), service("b", 0.6), deletion(service("c")))
    assert [change.key.name for change in committed.changes] == ["b"]
    assert (await everything(store))[Key("service", "a")].revision == 1


@pytest.mark.parametrize(
    ("writes", "message"),
    [
        ([service("a"), service("a", 0.6)], "written twice"),
        ([deletion(Write(DEFAULT, None))], "reset it instead"),
        ([policy("boost:a")], "choose another"),
        ([service("")], "must not be empty"),
        ([service("n" * 1025)], "at most 1024"),
        ([boost("é" * 513)], "at most 1024"),
        ([policy("a\nb")], "control characters"),
        ([service("\ud800")], "valid Unicode"),
        ([Write(Key("service", "a"), rb'{"description":"\u0000"}')], r"U\+0000"),
    ],
)
async def test_what_no_store_can_keep_is_refused_and_changes_nothing(store: Store, writes: list[Write], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        await commit(store, service("before"), *writes)
    assert (await store.head()).point.revision == 0


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
async def test_actor_and_reason_are_texts(store: Store, text: str) -> None:
    with pytest.raises(ValueError, match="actor"):
        await store.commit([service("a")], Terms(actor=text, reason=""))
    with pytest.raises(ValueError, match="reason"):
        await store.commit([service("a")], Terms(actor="", reason=text))


async def test_a_backslash_before_u0000_is_only_text(store: Store) -> None:
    write = Write(Key("service", "a"), rb'{"description":"\\u0000"}')
    await commit(store, write)
    assert (await bodies(store))[write.key] == write.body


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
async def test_every_name_is_kept_as_it_is(store: Store, name: str) -> None:
    writes = [service(name), boost(name)] + ([] if name.startswith("boost:") else [policy(name)])
    await commit(store, *writes)
    expected = {write.key: write.body for write in writes}
    assert await bodies(store) == {DEFAULT: DEFAULT_BODY, **expected}
    news = await store.changes_since(0)
    assert {change.key: change.record and change.record.body for change in news.changes} == expected
    await commit(store, *(deletion(write) for write in writes))
    assert await bodies(store) == {DEFAULT: DEFAULT_BODY}


async def test_names_that_only_look_alike_are_different(store: Store) -> None:
    names = ["a", "A", "a ", "é", "e\u0301", "ss", "ß"]
    await commit(store, *(service(name) for name in names))
    assert {key.name for key in await bodies(store)} == {*names, DEFAULT.name}


async def test_the_log_tells_who_changed_what_from_what_to_what(store: Store, database: Database) -> None:
    old, new = service("a", 0.1), service("a", 0.2)
    first = await commit(store, old)
    second = await store.commit([boost("x"), service("same"), new], Terms(actor="me", reason="why"))
    third = await commit(store, service("same"), deletion(new))
    revisions = await database.ask("SELECT revision, commit_id, actor, reason, checksum FROM revisions ORDER BY revision")
    assert [(row[0], row[1], int(row[4], 16)) for row in revisions[1:]] == [
        (done.head.point.revision, done.head.point.commit_id, done.head.checksum) for done in (first, second, third)
    ]
    assert revisions[2][2:4] == ("me", "why")
    log = await database.ask(
        "SELECT revision, position, kind, key, before, after FROM changes WHERE revision > 0 ORDER BY revision, position"
    )
    assert log == [
        (1, 0, "service", "a", None, text(old)),
        (2, 0, "boost", "x", None, text(boost("x"))),
        (2, 1, "service", "same", None, text(service("same"))),
        (2, 2, "service", "a", text(old), text(new)),
        (3, 0, "service", "a", text(new), None),
    ]


def text(write: Write) -> str:
    assert write.body is not None
    return write.body.decode()


async def test_the_tables_tell_a_person_what_is_in_a_record(store: Store, database: Database) -> None:
    await commit(store, service("a", managed_by="ci", enabled=False), service("b"), policy("p", 7), boost("b"))
    services = await database.ask("SELECT service_name, enabled, managed_by FROM tracing_configurations ORDER BY service_name")
    assert services == [("a", False, "ci"), ("b", True, None)]
    policies = await database.ask(
        "SELECT name, policy_type, enabled, priority, service_pattern, ends_at FROM sampling_policies ORDER BY name"
    )
    assert policies == [
        ("boost:b", "boost", True, 0, "b", "2030-01-01T00:00:00Z"),
        ("default", "operations", False, 0, "*", None),
        ("p", "ratelimiting", True, 7, "batch-*", None),
    ]


async def test_a_record_keeps_when_it_was_created(store: Store, database: Database) -> None:
    times = "SELECT created_at, updated_at FROM tracing_configurations"
    revision = "SELECT max(created_at) FROM revisions"
    await commit(store, service("a", 0.1))
    [(created, updated)] = await database.ask(times)
    assert created == updated == (await database.ask(revision))[0][0]
    await commit(store, service("a", 0.2))
    assert await database.ask(times) == [(created, (await database.ask(revision))[0][0])]
    assert (await database.ask(times))[0][1] > created


async def test_a_store_that_is_half_restored_is_unavailable(store: Store, database: Database) -> None:
    await database.ask("DELETE FROM store")
    for call in (store.head(), store.changes_since(0), everything(store), commit(store, service("a"))):
        with pytest.raises(StoreUnavailable, match="restore in progress"):
            await call


@pytest.mark.parametrize("seed", range(2))
async def test_the_log_replayed_from_nothing_is_what_the_store_holds(store: Store, database: Database, seed: int) -> None:
    chance = random.Random(seed)
    makers = (service, policy, boost)
    names = [f"name {number}" for number in range(60)]
    for step in range(25):
        # Once more than what is staged: the same rules on another way.
        size = 1_200 if step == 12 else chance.choice((1, 1, 3, 40))
        pool = [f"many {number}" for number in range(1_500)] + names if size > 100 else names
        keys = chance.sample([(maker, name) for maker in makers for name in pool], size)
        writes = [maker(name, chance.choice((0, 1))) for maker, name in keys]
        writes = [deletion(write) if chance.random() < 0.3 else write for write in writes]
        if chance.random() < 0.2:
            writes.append(Write(DEFAULT, chance.choice((DEFAULT_BODY, policy("default").body))))
        records = await everything(store)
        expected = {write.key: records[write.key].etag if write.key in records else ABSENT for write in writes[:5]}
        committed = await store.commit(writes, Terms(actor="", reason="", expected=expected))
        wanted = {write.key: write.body for write in writes}
        current = {key: record.body for key, record in records.items()}
        assert {change.key for change in committed.changes} == {key for key, body in wanted.items() if body != current.get(key)}

    replayed: dict[Key, tuple[int, bytes]] = {}
    for revision, kind, key, before, after in await database.ask(
        "SELECT revision, kind, key, before, after FROM changes ORDER BY revision, position"
    ):
        known = replayed.pop(Key(kind, key), None)
        assert (known[1].decode() if known else None) == before
        if after is not None:
            replayed[Key(kind, key)] = (revision, after.encode())
    records = await everything(store)
    assert replayed == {key: (record.revision, record.body) for key, record in records.items()}
    commits = dict(await database.ask("SELECT revision, commit_id FROM revisions"))
    assert all(record.commit_id == commits[record.revision] for record in records.values())
    assert (await store.head()).checksum == checksum_of(Change(key, record) for key, record in records.items())


async def test_the_rules_of_large_batches_are_those_of_small_ones(store: Store) -> None:
    many = [service(f"s{number}") for number in range(1_500)]
    tag = (await everything(store))[DEFAULT].etag
    await store.commit(many, Terms(actor="", reason="", expected={DEFAULT: tag, many[0].key: ABSENT}))
    with pytest.raises(PointMismatch):
        await store.commit(many, Terms(actor="", reason="", expected={Key("boost", "s1"): tag}))
    await commit(store, service("owned", managed_by="ci"))
    with pytest.raises(OwnedByAnother):
        await commit(store, *many[1:], service("owned"))
    assert not (await commit(store, *many)).changes
    assert (await store.head()).point.revision == 2


async def test_a_hundred_thousand_records_are_one_revision(store: Store) -> None:
    many = [service(f"service-{number}") for number in range(100_000)]
    committed = await store.commit(many, Terms(actor="", reason="import"))
    assert len(committed.changes) == 100_000
    assert committed.head.point.revision == 1
    loaded: list[Change] = []
    async with store.load() as load:
        async for chunk in load:
            loaded.extend(chunk)
    assert len(loaded) == 100_001
    assert checksum_of(loaded) == load.head.checksum == committed.head.checksum


async def test_a_commit_for_another_store_is_refused_and_changes_nothing(store: Store) -> None:
    head = await store.head()
    with pytest.raises(StoreUnavailable):
        await store.commit([service("a")], Terms(actor="", reason="", store_id="0" * 32))
    assert (await store.head()).point == head.point
    await store.commit([service("a")], Terms(actor="", reason="", store_id=head.point.store_id))


async def test_an_empty_database_is_left_empty_when_it_may_not_be_filled(database: Database) -> None:
    store = database.new_store()
    with pytest.raises(StoreUnusable, match="is empty"):
        await store.open(create=False)
    await store.open()
    await store.close()
    await store.open(create=False)
    await store.head()
    await store.close()

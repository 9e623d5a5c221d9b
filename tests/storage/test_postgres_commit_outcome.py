"""What becomes of a commit to PostgreSQL whose answer never came."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from sampling.records import Key
from storage.errors import OutcomeUnknown, StoreUnavailable
from storage.postgres import PostgresStore
from tests.contract.writes import bodies, commit, service
from tests.services.postgres import PostgresServer
from tests.storage.commit_proxy import CommitProxy, Link


@pytest.fixture
async def proxy(postgres: PostgresServer) -> CommitProxy:
    """A network that works."""
    return CommitProxy(postgres.port)


@pytest.fixture
async def behind(postgres: PostgresServer, postgres_url: str, proxy: CommitProxy) -> AsyncIterator[PostgresStore]:
    """An open store that reaches PostgreSQL through the proxy."""
    async with proxy.running() as port:
        store = PostgresStore(postgres_url.replace(f":{postgres.port}/", f":{port}/"))
        await store.open()
        await commit(store, service("before"))
        yield store
        await store.close()


@pytest.fixture
async def direct(behind: PostgresStore, postgres_url: str) -> AsyncIterator[PostgresStore]:
    """An open store that reaches the same database without the proxy."""
    store = PostgresStore(postgres_url)
    await store.open()
    yield store
    await store.close()


async def test_a_commit_that_was_made_is_found_although_its_answer_was_lost(
    behind: PostgresStore, direct: PostgresStore, proxy: CommitProxy
) -> None:
    proxy.on_commit = proxy.commit_before_the_cut
    committed = await asyncio.wait_for(commit(behind, service("a")), 2)
    assert committed.head.point == (await direct.head()).point
    assert [change.key for change in committed.changes] == [Key("service", "a")]


async def test_a_commit_that_was_not_made_has_changed_nothing(
    behind: PostgresStore, direct: PostgresStore, proxy: CommitProxy
) -> None:
    proxy.on_commit = proxy.cut_before_the_commit
    with pytest.raises(StoreUnavailable, match="nothing was changed"):
        await asyncio.wait_for(commit(behind, service("a")), 2)
    assert (await direct.head()).point.revision == 1
    await commit(behind, service("a"))
    assert (await direct.head()).point.revision == 2


async def test_another_commit_of_the_same_number_is_not_taken_for_ours(
    behind: PostgresStore, direct: PostgresStore, proxy: CommitProxy
) -> None:
    async def overtake(link: Link) -> None:
        link.server.transport.abort()
        await commit(direct, service("theirs"))
        link.cut_client()

    proxy.on_commit = overtake
    with pytest.raises(StoreUnavailable, match="nothing was changed"):
        await asyncio.wait_for(commit(behind, service("ours")), 2)
    assert (await direct.head()).point.revision == 2
    assert Key("service", "ours") not in await bodies(direct)


async def test_a_commit_that_is_still_going_on_is_waited_for(
    behind: PostgresStore, direct: PostgresStore, proxy: CommitProxy
) -> None:
    proxy.on_commit = proxy.commit_after_the_client_came_back
    committed = await asyncio.wait_for(commit(behind, service("a")), 2)
    assert committed.head.point == (await direct.head()).point


async def test_an_outcome_that_cannot_be_learnt_in_time_is_unknown(
    behind: PostgresStore, direct: PostgresStore, proxy: CommitProxy
) -> None:
    proxy.on_commit = proxy.commit_and_go_dark
    with pytest.raises(OutcomeUnknown) as caught:
        await asyncio.wait_for(commit(behind, service("a")), 2.2)
    news = await direct.changes_since(1)
    assert news.head.point.commit_id == caught.value.commit_id
    proxy.dark = False
    assert (await bodies(behind))[Key("service", "a")] == service("a").body


async def test_a_large_batch_is_found_too(behind: PostgresStore, direct: PostgresStore, proxy: CommitProxy) -> None:
    proxy.on_commit = proxy.commit_before_the_cut
    committed = await commit(behind, *(service(f"s{number}") for number in range(1_500)))
    assert committed.head.point == (await direct.head()).point
    assert len(committed.changes) == 1_500

"""A rollback beside commits of others, each at the worst moment: right after the log was read."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from server import follower
from server.follower import Follower
from server.sidecar import rollback_api
from server.sidecar.errors import Problem, problem_middleware
from server.sidecar.identity import Identity
from server.sidecar.parts import PARTS, Parts
from server.sidecar.route import ANYBODY, Call, register
from storage.history import Differences, LoggedChange, LoggedStore, Revision, Wanted
from storage.interface import Load, Terms
from storage.sqlite import SqliteStore
from tests.server.following import FAST, commit, following, service
from tests.waiting import until


class InterruptedHistory:
    """The history of a store to which somebody else commits right after it was read, the first ``left`` times.

    That is served at once, so that a dry run notices too.
    """

    def __init__(self, store: LoggedStore, follower: Follower, left: int) -> None:
        self._store, self._follower, self.left = store, follower, left
        self.asked = 0

    async def differences(self, before: int, after: int | None) -> Differences:
        self.asked += 1
        differences = await self._store.differences(before, after)
        if self.left > 0:
            self.left -= 1
            _, served = await self._follower.commit([service(f"meanwhile-{self.left}", 0.5)], Terms(actor="somebody else"))
            assert served
        return differences

    async def logged(self, wanted: Wanted, limit: int) -> Sequence[LoggedChange]:
        return await self._store.logged(wanted, limit)

    async def revision(self, number: int) -> Revision:
        return await self._store.revision(number)

    def state_at(self, revision: int) -> AbstractAsyncContextManager[Load]:
        return self._store.state_at(revision)


Client = TestClient[web.Request, web.Application]


@asynccontextmanager
async def rolling_back(
    folder: Path, interruptions: int = 0, *, tick: float = FAST, identity: Identity = ANYBODY
) -> AsyncIterator[tuple[SqliteStore, InterruptedHistory, Client]]:
    """A store with one record, its history, and a client of the rollback on it; nobody is asked for a token."""
    store = SqliteStore(folder / "test.db")
    await store.open()
    await commit(store, service("a", 0.5))
    await store.wait_for_news(60)  # Of the commit: else the store is asked once more right after the start.
    async with following(store, tick=tick) as replica:
        await until(lambda: replica.served.published)
        history = InterruptedHistory(store, replica.follower, interruptions)
        used = {"served": replica.served, "follower": replica.follower, "answers": replica.answers}
        used["authentication"] = SimpleNamespace(forbidden=lambda request, bearer, reason: Problem(403, "forbidden", reason))
        app = web.Application(middlewares=[problem_middleware])

        async def roll_back(call: Call[Any, Any]) -> web.StreamResponse:
            call.identity = identity
            return await rollback_api.rollback(call)

        register(app, [msgspec.structs.replace(route, role=None, handler=roll_back) for route in rollback_api.ROUTES])
        used |= {"store": store, "history": history, "log": lambda: history, "dry_runs": asyncio.Lock()}
        app[PARTS] = cast("Parts", SimpleNamespace(**used))
        async with TestClient(TestServer(app)) as client:
            yield store, history, client
    await store.close()


async def post(client: Client, **parameters: str) -> tuple[int, dict[str, Any]]:
    async with client.post("/api/v1/config/rollback", json={"revision": 0}, params=parameters) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("parameters", [{}, {"dryRun": "true"}])
async def test_a_commit_in_between_is_rolled_back_too(tmp_path: Path, parameters: dict[str, str]) -> None:
    async with rolling_back(tmp_path, interruptions=1) as (store, _, client):
        status, answer = await post(client, **parameters)
        assert status == 200
        if parameters:
            assert (answer["revision"], answer["recordCount"]) == (2, 2)
            assert [(each["name"], each["after"]) for each in answer["records"]] == [("a", None), ("meanwhile-0", None)]
        else:
            assert (answer["revision"], answer["changed"]) == (3, 2)
            assert (await store.differences(0, None)).records == []


@pytest.mark.parametrize("parameters", [{}, {"dryRun": "true"}])
async def test_what_others_commit_meanwhile_is_refused_where_the_caller_may_not_write_it(
    tmp_path: Path, parameters: dict[str, str]
) -> None:
    async with rolling_back(tmp_path, interruptions=1, identity=Identity("team", "editor", ("a*",))) as (store, _, client):
        status, problem = await post(client, **parameters)
        assert (status, problem["type"]) == (403, "urn:tracing-config:problem:forbidden")
        assert "'meanwhile-0'" in problem["detail"]
        assert (await store.head()).point.revision == 2


async def commit_elsewhere(store: SqliteStore) -> None:
    """Another process commits: the replica does not hear of it before its next tick."""
    another = SqliteStore(Path(store.address.removeprefix("sqlite://")))
    await another.open()
    await commit(another, service("b", 0.5))
    await another.close()


async def test_a_dry_run_waits_until_this_replica_serves_what_the_log_has(tmp_path: Path) -> None:
    async with rolling_back(tmp_path, tick=0.2) as (store, history, client):
        await commit_elsewhere(store)
        status, answer = await post(client, dryRun="true")
        assert (status, answer["revision"], answer["recordCount"]) == (200, 2, 2)
        assert history.asked == 1, "it waits, it does not ask again and again"


async def test_a_dry_run_is_refused_where_this_replica_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "SERVED_SECONDS", 0.0)
    async with rolling_back(tmp_path, tick=60) as (store, _, client):
        await commit_elsewhere(store)
        status, problem = await post(client, dryRun="true")
        assert (status, problem["type"]) == (503, "urn:tracing-config:problem:store-unavailable")
        assert "does not serve 2-" in problem["detail"]

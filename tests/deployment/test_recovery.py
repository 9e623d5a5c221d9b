"""A database is lost and restored while servers run: they answer all the time, and follow."""

from pathlib import Path

import pytest

from tests.e2e.command_line import Terminal
from tests.e2e.poll_loop import PollLoop
from tests.e2e.recovery import command, details, follows, lost, notices, successor
from tests.e2e.replica import Replica
from tests.e2e.test_admin import refresh, validate
from tests.services.postgres import PostgresServer
from tests.waiting import eventually


async def test_replicas_follow_a_backup_restored_into_a_new_server(tmp_path: Path, private_postgres: PostgresServer) -> None:
    database = await private_postgres.create_database()
    url = private_postgres.url(database)
    older, newest = tmp_path / "older", tmp_path / "newest"
    settings = {"TRACING_CONFIG_DATABASE_URL": url}
    with Replica(tmp_path / "one", **settings) as one, Replica(tmp_path / "two", **settings) as two:
        assert one.put_rate("a", 0.5).status_code == 200
        assert one.put_rate("kept", 0.125).status_code == 200
        old = details(one)["point"]
        await command("backup", "--output", str(older), **settings)
        assert one.put_rate("a", 0.25).status_code == 200
        new = details(one)["point"]
        await command("backup", "--output", str(newest), **settings)
        await follows(two, new)
        for replica in (one, two):
            refresh(replica)
        with PollLoop([one, two], "kept", 0.125) as loop, successor(private_postgres) as server:
            assert await server.create_database() == database
            for replica in (one, two):
                await notices(replica)
            await loop.more_polls(100)
            said = await command("restore", str(newest), "--yes", **settings)
            assert "is no store: it becomes this one" in said
            for replica in (one, two):
                # Nothing is lost, so nobody has anything to go back from.
                await follows(replica, new)
                assert lost(replica) == (0, [])
            said = await command("restore", str(older), "--yes", **settings)
            assert f"It goes back from {new} to {old}: 1 revision is lost." in said
            for replica in (one, two):
                await follows(replica, old)
                assert replica.rate("a") == 0.5
                count, [snapshot] = lost(replica)
                assert count == 1
                assert snapshot.name.startswith("lost-3-")
                told = replica.wait_for_event(lambda event: "the store went back" in event["message"])
                assert (told["level"], told["served"], told["head"]) == ("ERROR", new, old)
            assert two.put_rate("a", 0.75).status_code == 200
            await eventually(lambda: one.rate("a") == 0.75)
            for replica in (one, two):
                refresh(replica)
            assert validate(one) == validate(two) == (True, set(), set())
            await loop.more_polls(100)
            assert loop.failures == []


async def test_a_replica_that_had_begun_on_the_empty_database_follows_too(tmp_path: Path, postgres_url: str) -> None:
    """After a loss everything is started at once, and the backup comes last."""
    data = {"TRACING_CONFIG_DATA_DIR": str(tmp_path / "before")}
    settings = {"TRACING_CONFIG_DATABASE_URL": postgres_url}
    with Replica(tmp_path / "before") as before:
        assert before.put_rate("a", 0.5).status_code == 200
        point, store_id = details(before)["point"], details(before)["storeId"]
    await command("backup", "--output", str(tmp_path / "made"), **data)
    with Replica(tmp_path / "early", **settings) as early:
        assert early.rate("a") == 0.001
        said = await command("restore", str(tmp_path / "made"), "--yes", **settings)
        assert f"its replicas follow the store {store_id} from now on" in said
        await follows(early, point)
        assert early.rate("a") == 0.5
        assert early.put_rate("a", 0.25).status_code == 200


async def test_what_is_committed_while_a_restore_asks_is_shown_and_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACING_CONFIG_DATA_DIR", str(tmp_path / "data"))
    with Replica(tmp_path / "data") as replica:
        assert replica.put_rate("a", 0.5).status_code == 200
        old = details(replica)["point"]
        await command("backup", "--output", str(tmp_path / "made"))
        for answer, code in (("n", 1), ("y", 0)):
            with Terminal(replica, "restore", str(tmp_path / "made")) as terminal:
                terminal.until("Replace everything there by the backup? [y/N]")
                assert replica.put_rate("a", 0.25 if answer == "n" else 0.75).status_code == 200
                new = details(replica)["point"]
                terminal.type("y\n")
                terminal.until("it was changed meanwhile; this is what is there now:")
                terminal.until(f"It goes back from {new} to {old}")
                terminal.until("[y/N]")
                assert details(replica)["point"] == new
                terminal.type(f"{answer}\n")
                terminal.end(code)
        await follows(replica, old)

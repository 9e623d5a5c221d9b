"""A backup is restored under a server that runs on: it answers all the time, and follows."""

from pathlib import Path

from tests.e2e.poll_loop import PollLoop
from tests.e2e.recovery import command, details, follows, lost
from tests.e2e.replica import Replica
from tests.e2e.test_admin import refresh, validate


async def test_a_server_follows_a_restore_into_its_sqlite_file(tmp_path: Path) -> None:
    settings = {"TRACING_CONFIG_DATA_DIR": str(tmp_path / "data")}
    with Replica(tmp_path / "data") as replica:
        assert replica.put_rate("kept", 0.125).status_code == 200
        old = details(replica)["point"]
        await command("backup", "--output", str(tmp_path / "made"), **settings)
        assert replica.put_rate("a", 0.25).status_code == 200
        refresh(replica)
        with PollLoop([replica], "kept", 0.125) as loop:
            await command("restore", str(tmp_path / "made"), "--yes", **settings)
            await follows(replica, old)
            await loop.more_polls(20)
        assert loop.failures == []
        assert replica.rate("a") == 0.001
        count, snapshots = lost(replica)
        assert (count, len(snapshots)) == (1, 1)
        assert replica.put_rate("a", 0.5).status_code == 200
        assert validate(replica)[0]
    with Replica(tmp_path / "data") as again:
        assert again.rate("a") == 0.5

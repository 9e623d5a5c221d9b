"""No backup is left: what a replica's snapshot still holds is brought into an empty database, as the documentation has it."""

from pathlib import Path

from tests.e2e.command_line import environment
from tests.e2e.recovery import command, details, follows, successor
from tests.e2e.replica import Replica
from tests.e2e.test_admin import refresh
from tests.services.postgres import PostgresServer


async def test_the_records_of_a_snapshot_are_brought_into_an_empty_database(
    tmp_path: Path, private_postgres: PostgresServer
) -> None:
    database = await private_postgres.create_database()
    half = {"samplingStrategy": {"type": "probabilistic", "param": 0.5}}
    replica = Replica(tmp_path / "one", TRACING_CONFIG_DATABASE_URL=private_postgres.url(database))
    with replica:
        assert replica.put_rate("a", 0.25).status_code == 200
        document = {"services": {"owned": half}, "policies": {"p": {"servicePattern": "batch-*", **half}}}
        assert replica.api("POST", "/import", json=document, params={"owner": "team"}).status_code == 200
        refresh(replica)
        lost = details(replica)["storeId"]
    with successor(private_postgres) as server, replica:
        settings = environment(replica)
        assert replica.rate("a") == 0.25
        await command("export", "--output", str(tmp_path / "rescued.json"), **settings)
        assert await server.create_database() == database
        await command("store", "accept", "--yes", **settings)
        said = await command("import", str(tmp_path / "rescued.json"), **settings)
        assert said.startswith("3 records written")
        await follows(replica, details(replica)["point"])
        assert details(replica)["storeId"] != lost
        assert (replica.rate("a"), replica.rate("owned"), replica.rate("batch-1")) == (0.25, 0.5, 0.5)
        assert replica.api("GET", "/services/owned").json()["managedBy"] == "team"

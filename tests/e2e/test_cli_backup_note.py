"""That a backup was made is noted in the database, where it can be, and never at the cost of the backup."""

import asyncio
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from storage.figures import Figures
from storage.interface import Terms
from storage.postgres import PostgresStore
from tests.contract.databases import PostgresDatabase
from tests.contract.writes import service
from tests.e2e.command_line import FAILED
from tests.e2e.replica import ROOT
from tests.e2e.seed import edit
from tests.e2e.test_cli_backup import data, moto, run, s3
from tests.services.account import ENVIRONMENT
from tests.services.moto import MotoServer
from tests.services.postgres import PostgresServer

__all__ = ["data", "moto", "s3"]

PSQL = re.compile(r"^psql .*INSERT INTO backups .*$", re.MULTILINE)
"""The line of the document for a backup that another program has made."""


async def filled(url: str) -> None:
    store = PostgresStore(url)
    await store.open()
    await store.commit([service("a")], Terms(actor="tests"))
    await store.close()


async def figures(url: str) -> Figures:
    store = PostgresStore(url)
    await store.open()
    try:
        return await store.figures()
    finally:
        await store.close()


@pytest.fixture
def url(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with a store at revision 1, which the settings name."""
    asyncio.run(filled(postgres_url))
    monkeypatch.setenv("TRACING_CONFIG_DATABASE_URL", postgres_url)
    return postgres_url


def notes(url: str) -> list[tuple[Any, ...]]:
    return asyncio.run(PostgresDatabase(url).ask("SELECT place, revision, bytes FROM backups ORDER BY made_at"))


def test_a_backup_is_noted_once_it_is_whole_with_its_moment(url: str, tmp_path: Path) -> None:
    done = json.loads(run("backup", "--output", f"{tmp_path}/", "--json").stdout)
    file = Path(done["file"])
    assert done["noted"] is True
    assert notes(url) == [(file.name, 1, file.stat().st_size)]
    last = asyncio.run(figures(url)).last_backup
    assert last == datetime.fromisoformat(done["createdAt"])


def test_a_backup_of_sqlite_is_noted_too(data: Path, tmp_path: Path) -> None:
    assert json.loads(run("backup", "--output", str(tmp_path / "made"), "--json").stdout)["noted"] is True
    edit(data, "UPDATE backups SET bytes = 0 WHERE place = ? AND revision = 2", "made")


def test_one_that_is_sent_is_noted_by_its_address_once_it_has_arrived(
    s3: str, moto: MotoServer, url: str, tmp_path: Path
) -> None:
    run("backup", "--upload", "s3://nothing-of-ours/x/", "--output", str(tmp_path / "kept"), code=FAILED)
    assert notes(url) == []
    run("backup", "--upload", f"{s3}night")
    assert [place for place, *_ in notes(url)] == [f"{s3}night"]


def test_one_that_does_not_fit_together_is_not_noted(data: Path, tmp_path: Path) -> None:
    edit(data, "UPDATE tracing_configurations SET revision = 2 WHERE service_name = ?", "a")
    run("backup", "--output", str(tmp_path / "made"), code=FAILED)
    with pytest.raises(AssertionError):
        edit(data, "UPDATE backups SET bytes = 0")


@pytest.fixture
def read_only(url: str) -> Iterator[str]:
    """The address of the database for a user who may read it."""
    grant = "CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader"
    database = PostgresDatabase(url)
    for statement in grant.split(";"):
        asyncio.run(database.ask(statement))
    yield url.replace("postgres@", "reader@")
    asyncio.run(database.ask("DROP OWNED BY reader"))
    asyncio.run(database.ask("DROP ROLE reader"))


def test_who_may_only_read_gets_a_backup_and_is_told_what_is_missing(url: str, read_only: str, tmp_path: Path) -> None:
    made = run("backup", "--output", str(tmp_path / "made"), TRACING_CONFIG_DATABASE_URL=read_only)
    assert "permission denied for table backups" in made.stderr
    assert "GRANT SELECT, INSERT, DELETE ON backups" in made.stderr
    assert made.stdout.startswith(f"{tmp_path}/made: 1-")
    said = run("backup", "--output", str(tmp_path / "made"), "--json", TRACING_CONFIG_DATABASE_URL=read_only).stdout
    assert json.loads(said)["noted"] is False
    assert notes(url) == []
    for statement in ("GRANT SELECT ON store TO reader", "GRANT SELECT, INSERT, DELETE ON backups TO reader"):
        asyncio.run(PostgresDatabase(url).ask(statement))
    assert run("backup", "--output", str(tmp_path / "made"), TRACING_CONFIG_DATABASE_URL=read_only).stderr == ""
    assert [place for place, *_ in notes(url)] == ["made"]


def test_a_backup_of_a_standby_is_one_and_the_warning_names_the_cure(url: str, tmp_path: Path) -> None:
    """A database whose transactions are read-only stands for a standby: the driver refuses both alike."""
    name = url.rpartition("/")[2]
    asyncio.run(PostgresDatabase(url).ask(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    said = run("backup", "--output", str(tmp_path / "made"))
    assert "read-only standby" in said.stderr
    assert "a server that takes writes" in said.stderr
    assert run("backup", "verify", str(tmp_path / "made")).stdout.startswith(f"{tmp_path}/made is right: 1-")


def test_the_line_of_the_document_notes_a_dump(url: str, postgres: PostgresServer) -> None:
    [line] = PSQL.findall((ROOT / "docs" / "disaster-recovery.md").read_text())
    before = asyncio.run(figures(url))
    assert before.last_backup is None
    words = shlex.split(line)
    for option, value in {"-h": "127.0.0.1", "-U": "postgres", "-d": url.rpartition("/")[2]}.items():
        words[words.index(option) + 1] = value
    command = [str(postgres.binaries / words[0]), "-p", str(postgres.port), *words[1:]]
    ended = subprocess.run(command, check=False, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert notes(url) == [("tracing-config-backup.sql", None, None)]
    last = asyncio.run(figures(url)).last_backup
    assert last is not None
    assert timedelta(0) <= datetime.now(last.tzinfo) - last < timedelta(minutes=1)

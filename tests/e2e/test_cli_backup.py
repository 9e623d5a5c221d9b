"""``tracing-config backup`` and ``restore``: what a person or a job does with them, and what goes wrong."""

import asyncio
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from server.cli.commands import commands
from storage.interface import Point, Terms
from storage.postgres import PostgresStore
from storage.postgres.backup import PostgresDatabase
from storage.sqlite.backup import SqliteDatabase
from tests.contract.backups import rows_of
from tests.contract.writes import boost, policy, service
from tests.e2e.command_line import DONE, FAILED, PENDING, USAGE, closed_port
from tests.e2e.replica import ROOT
from tests.e2e.seed import FILE, edit, seed
from tests.services.moto import MotoServer

NAME = re.compile(r"tracing-config-backup-\d{8}-\d{6}-(\d+)-[0-9a-f]{8}\.jsonl\.gz")


def run(*arguments: str, code: int = DONE, **environment: str | None) -> Result:
    """Run a command as from a job, and check how it ends."""
    result = CliRunner().invoke(commands, arguments, env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert (result.exit_code, result.output) == (code, result.output)
    return result


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a store at revision 2, which the settings name."""
    folder = tmp_path / "data"
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("TRACING_CONFIG_DATA_DIR", str(folder))
    seed(folder, [service("a"), policy("p"), boost("a")])
    seed(folder, [service("b")])
    return folder


@pytest.fixture
def made(data: Path, tmp_path: Path) -> Path:
    """A backup of it."""
    run("backup", "--output", str(tmp_path / "made"))
    return tmp_path / "made"


@pytest.fixture(scope="module")
def moto() -> Iterator[MotoServer]:
    with MotoServer() as server:
        server.client().create_bucket(Bucket="exalt-backups", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield server


@pytest.fixture
def s3(moto: MotoServer, data: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a folder, which the environment leads to."""
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://exalt-backups/{data.parent.name}/"


def objects(moto: MotoServer, s3: str) -> list[str]:
    listed = moto.client().list_objects_v2(Bucket="exalt-backups", Prefix=s3.removeprefix("s3://exalt-backups/"))
    return [found["Key"] for found in listed.get("Contents", [])]


def point_of(folder: Path) -> Point:
    target = asyncio.run(SqliteDatabase(folder / FILE).target(0))
    assert target is not None
    return target.point


def test_a_folder_gets_a_file_that_is_called_after_its_time_and_point(data: Path, tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    done: dict[str, Any] = json.loads(run("backup", "--output", f"{tmp_path}/new/folder/", "--json").stdout)
    [file] = (tmp_path / "new" / "folder").iterdir()
    assert done["file"] == str(file)
    assert (done["uploaded"], done["bytes"], done["revision"]) == (None, file.stat().st_size, 2)
    found = NAME.fullmatch(file.name)
    assert found is not None
    assert found[1] == "2"
    at = datetime.strptime(file.name[22:37], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    assert before <= at <= datetime.now(UTC)
    assert file.stat().st_mode & 0o777 == 0o600


def test_without_options_it_is_written_here(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    said = run("backup").stdout
    [file] = Path().iterdir()
    assert said.startswith(f"{file}: 2-")
    assert "4 records, 5 changes in 3 revisions" not in said
    assert "5 records, 5 changes in 3 revisions" in said


def test_a_file_is_replaced_whole_or_not_at_all(made: Path, data: Path) -> None:
    old = made.read_bytes()
    run("backup", "--output", str(made))
    assert run("backup", "verify", str(made)).stdout.startswith(f"{made} is right: 2-")
    made.write_bytes(old)
    edit(data, "UPDATE tracing_configurations SET created_at = 'yesterday' WHERE service_name = ?", "a")
    assert "'yesterday', which is none" in run("backup", "--output", str(made), code=FAILED).stderr
    assert made.read_bytes() == old
    assert {path.name for path in made.parent.iterdir()} == {"made", "data"}


def test_a_store_that_does_not_fit_together_is_backed_up_and_told(data: Path, tmp_path: Path) -> None:
    edit(data, "UPDATE tracing_configurations SET revision = 2 WHERE service_name = ?", "a")
    said = run("backup", "--output", str(tmp_path / "made"), code=FAILED)
    assert "the backup is written, but its records do not come out at the checksum of revision 2" in said.stderr
    told = run("backup", "verify", str(tmp_path / "made"), code=FAILED).stderr
    assert "its records do not come out" in told
    assert "it was so when the backup was made" in told


def test_one_altered_byte_anywhere_fails_verify_and_restore(made: Path, data: Path, tmp_path: Path) -> None:
    run("backup", "verify", str(made))
    whole, altered = made.read_bytes(), tmp_path / "altered"
    before = asyncio.run(rows_of(SqliteDatabase(data / FILE)))
    for index in range(0, len(whole), 29):
        altered.write_bytes(whole[:index] + bytes([whole[index] ^ 0x10]) + whole[index + 1 :])
        for command in (("backup", "verify", str(altered)), ("restore", str(altered), "--yes")):
            assert str(altered) in run(*command, code=FAILED).stderr
    assert asyncio.run(rows_of(SqliteDatabase(data / FILE))) == before


def test_a_dry_run_tells_where_it_goes_back_to_and_changes_nothing(made: Path, data: Path) -> None:
    seed(data, [service("c")])
    point = point_of(data)
    said = run("restore", str(made), "--dry-run", code=PENDING).stdout
    assert re.search(rf"It goes back from {point} to 2-\w{{8}}: 1 revision is lost\.", said)
    told = json.loads(run("restore", str(made), "--dry-run", "--json", code=PENDING).stdout)
    assert (told["revision"], told["replacedPoint"], told["restored"]) == (2, str(point), False)
    assert point_of(data) == point


def test_a_restore_goes_back_and_tells_it(made: Path, data: Path) -> None:
    before = asyncio.run(rows_of(SqliteDatabase(data / FILE)))
    seed(data, [service("c"), service("a", 0.1)])
    assert "nobody can be asked here" in run("restore", str(made), code=USAGE).stderr
    assert "nothing to decide by" in run("restore", str(made), "--json", code=USAGE).stderr
    assert "is restored: 2-" in run("restore", str(made), "--yes").stdout
    assert asyncio.run(rows_of(SqliteDatabase(data / FILE))) == before


@pytest.mark.parametrize("there", ["nothing", "another store", "the same", "behind", "another way"])
def test_what_stands_in_the_place_is_told(made: Path, data: Path, tmp_path: Path, there: str) -> None:
    folder = tmp_path / "place"
    first = tmp_path / "first"
    run("restore", str(made), "--yes", TRACING_CONFIG_DATA_DIR=str(folder))
    if there == "nothing":
        folder, expected = tmp_path / "nothing", "is no store: it becomes this one"
    elif there == "another store":
        folder, expected = tmp_path / "another", "This is another store: all of it is lost, and its replicas follow"
        seed(folder, [service("x")])
    elif there == "the same":
        expected = "no commit is lost, and edits by SQL are"
    elif there == "behind":
        seed(data, [service("c")])
        run("backup", "--output", str(made))
        expected = "It is behind the backup: it goes forward from 2-"
    else:
        seed(data, [service("c")])
        run("backup", "--output", str(first))
        made, expected = first, "It went another way since"
        seed(folder, [service("d")])
    said = run("restore", str(made), "--yes", TRACING_CONFIG_DATA_DIR=str(folder)).stdout
    assert expected in said
    assert (
        asyncio.run(rows_of(SqliteDatabase(folder / FILE)))["changes"]
        == (asyncio.run(rows_of(SqliteDatabase(data / FILE)))["changes"])
    )


def test_a_job_needs_no_admin_token_and_reads_the_address_from_a_file(
    made: Path, data: Path, tmp_path: Path, postgres_url: str
) -> None:
    url = str(tmp_path / "url")
    Path(url).write_text(postgres_url)
    assert "database is empty" in run("backup", code=FAILED, TRACING_CONFIG_DATABASE_URL_FILE=url).stderr
    run("restore", str(made), "--yes", TRACING_CONFIG_DATABASE_URL_FILE=url)
    run("backup", "--output", str(tmp_path / "again"), TRACING_CONFIG_DATABASE_URL_FILE=url)
    assert asyncio.run(rows_of(PostgresDatabase(postgres_url))) == asyncio.run(rows_of(SqliteDatabase(data / FILE)))
    assert "from PostgreSQL" in run("restore", str(tmp_path / "again"), "--dry-run", code=PENDING).stdout


def test_it_is_sent_to_s3_and_nothing_stays_here(
    s3: str, moto: MotoServer, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path / "here")
    done = json.loads(run("backup", "--upload", s3, "--json").stdout)
    [key] = objects(moto, s3)
    assert NAME.fullmatch(key.rpartition("/")[2])
    assert (done["uploaded"], done["file"]) == (f"s3://exalt-backups/{key}", None)
    assert run("backup", "verify", done["uploaded"]).stdout.startswith(f"{done['uploaded']} is right: 2-")
    seed(data, [service("c")])
    run("restore", done["uploaded"], "--yes")
    assert point_of(data).revision == 2
    assert [*(tmp_path / "tmp").iterdir(), *(tmp_path / "here").iterdir()] == []


def test_it_is_kept_here_and_sent(s3: str, moto: MotoServer, data: Path, tmp_path: Path) -> None:
    said = run("backup", "--upload", f"{s3}fixed-name", "--output", str(tmp_path / "kept")).stdout
    assert said.startswith(f"{tmp_path}/kept and {s3}fixed-name: 2-")
    moto.client().download_file("exalt-backups", objects(moto, s3)[0], str(tmp_path / "sent"))
    assert (tmp_path / "sent").read_bytes() == (tmp_path / "kept").read_bytes()


def test_what_is_wrong_with_s3_is_told_with_the_cure(
    s3: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(*arguments: str, code: int = FAILED, **environment: str | None) -> str:
        return run(*arguments, code=code, **environment).stderr

    assert "there is no such bucket: create it" in told("backup", "--upload", "s3://nothing-of-ours/x/")
    assert "there is no such" in told("backup", "verify", f"{s3}nothing")
    assert "there is no such" in told("restore", f"{s3}nothing", "--yes")
    assert "no address in S3" in told("backup", "--upload", "https://exalt-backups/", code=USAGE)
    assert "no address in S3" in told("backup", "--upload", "s3:///x", code=USAGE)
    away = f"http://127.0.0.1:{closed_port()}"
    assert "Is AWS_ENDPOINT_URL_S3 right" in told("backup", "--upload", s3, AWS_ENDPOINT_URL_S3=away)
    assert "AWS_ACCESS_KEY_ID" in told("backup", "--upload", s3, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    assert "AWS_SECRET_ACCESS_KEY" in told("backup", "--upload", s3, AWS_SECRET_ACCESS_KEY=None)
    kept = tmp_path / "kept"
    assert f"the backup stays in {kept}" in told("backup", "--upload", "s3://nothing-of-ours/x/", "--output", str(kept))
    kept.unlink()
    monkeypatch.setitem(sys.modules, "boto3.session", None)
    assert "pip install 'tracing-config[s3]'" in told("backup", "--upload", s3)
    assert list(tmp_path.glob("*")) == [data]


def test_what_is_wrong_with_the_database_is_told_with_the_cure(
    made: Path, data: Path, tmp_path: Path, postgres_url: str
) -> None:
    port = closed_port()
    for command in (("backup",), ("restore", str(made), "--dry-run"), ("restore", str(made), "--yes")):
        away = run(*command, code=FAILED, TRACING_CONFIG_DATABASE_URL=f"postgresql://u:hunter2@127.0.0.1:{port}/d")
        assert f"127.0.0.1:{port}/d up, and is that TRACING_CONFIG_DATABASE_URL right?" in away.stderr
        assert "hunter2" not in away.output
        bad = run(*command, code=FAILED, TRACING_CONFIG_DATABASE_URL="mysql://u:hunter2@h/d")
        assert bad.stderr.startswith("tracing-config: TRACING_CONFIG_DATABASE_URL: must start with postgresql://")
    missing = re.sub(r"/\w+$", "/missing", postgres_url)
    assert "create the database" in run("backup", code=FAILED, TRACING_CONFIG_DATABASE_URL=missing).stderr
    assert "there is no store" in run("backup", code=FAILED, TRACING_CONFIG_DATA_DIR=str(tmp_path / "none")).stderr
    assert not (tmp_path / "none").exists()
    (data / FILE).write_bytes(b"no database" * 1000)
    for suffix in ("-wal", "-shm"):
        (data / f"{FILE}{suffix}").unlink(missing_ok=True)
    for command in (("backup",), ("restore", str(made), "--yes")):
        assert "move it away" in run(*command, code=FAILED).stderr


def test_a_place_that_cannot_be_written_is_told(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for output in ("none/backup", "file/backup", "file/x/"):
        told = run("backup", "--output", f"{tmp_path}/{output}", code=FAILED).stderr
        assert "the backup cannot be written there" in told
        assert "--output" in told


def test_a_password_in_the_address_of_s3_is_not_told(s3: str, data: Path) -> None:
    endpoint = f"http://user:secret@127.0.0.1:{closed_port()}"
    told = run("backup", "--upload", s3, code=FAILED, AWS_ENDPOINT_URL_S3=endpoint).stderr
    assert "Could not connect" in told
    assert "secret" not in told


def test_what_is_no_file_is_not_replaced(data: Path, tmp_path: Path) -> None:
    """As root it was /dev/null for everybody."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "no file that a backup could replace" in run("backup", "--output", str(pipe), code=FAILED).stderr
    assert pipe.is_fifo()


def test_a_full_disk_leaves_no_half_of_a_backup(data: Path, tmp_path: Path) -> None:
    """A limit for files stands for the disk."""
    seed(data, [service(uuid4().hex) for _ in range(5000)])
    ended = subprocess.run(
        [sys.executable, "-m", "server", "backup", "--output", str(tmp_path / "made")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)),
    )
    assert ended.returncode == FAILED
    assert "the backup cannot be written there: File too large; name another place with --output" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_no_room_for_what_is_temporary_is_told(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(made))
    assert "name one with room in TMPDIR" in run("backup", "verify", str(made), code=FAILED).stderr


class Restoring:
    """A restore in a process of its own that is to be killed in the middle."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate(timeout=30)

    def said(self) -> str:
        """Its next line."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def check_goes_on(self) -> None:
        assert self._process.poll() is None

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        assert self._process.wait(30) == -signal.SIGKILL


RESTORE_UNTIL_THE_MIDDLE = """
import asyncio, sys
from pathlib import Path
from storage.backup import only_over
from storage.backup_file import open_backup
from storage.sqlite.backup import SqliteDatabase

class UntilTheMiddle:
    def __init__(self, backup):
        self.backup, self.manifest = backup, backup.manifest

    def __iter__(self):
        for table, rows in self.backup:
            if table.name == "tracing_configurations":
                print("in the middle", flush=True)
                sys.stdin.read()
            yield table, rows

database = SqliteDatabase(Path(sys.argv[1]))
with open_backup(Path(sys.argv[2])) as backup:
    point = asyncio.run(database.target(0)).point
    asyncio.run(database.restore(UntilTheMiddle(backup), only_over(point), lambda rows: None))
"""


def test_a_restore_into_sqlite_that_is_killed_leaves_the_old_content_whole(data: Path, tmp_path: Path) -> None:
    seed(data, [service(f"a-service-with-a-name-{number:06}") for number in range(20_000)])
    made = str(tmp_path / "made")
    run("backup", "--output", made)
    seed(data, [service("a", 0.75)])
    before = asyncio.run(rows_of(SqliteDatabase(data / FILE)))
    log = data / f"{FILE}-wal"
    assert not log.exists()
    with Restoring("-c", RESTORE_UNTIL_THE_MIDDLE, str(data / FILE), made) as restoring:
        assert restoring.said() == "in the middle"
        assert log.stat().st_size > 1_000_000  # More than fits into memory is in the file already.
        restoring.kill()
    assert asyncio.run(rows_of(SqliteDatabase(data / FILE))) == before
    run("restore", made, "--yes")
    assert point_of(data).revision == 3


async def test_a_restore_into_postgres_that_is_killed_leaves_the_old_content_whole(
    made: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PostgresStore(postgres_url)
    await store.open()
    await store.commit([service("mine")], Terms(actor="tests"))
    point = (await store.head()).point
    before = await rows_of(PostgresDatabase(postgres_url))
    monkeypatch.setenv("TRACING_CONFIG_DATABASE_URL", postgres_url)
    watching, holding = await asyncpg.connect(postgres_url), await asyncpg.connect(postgres_url)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    held = "SELECT count(*) FROM pg_locks WHERE relation = 'store'::regclass AND mode = 'ExclusiveLock'"
    try:
        await holding.execute("BEGIN; LOCK TABLE sampling_policies IN SHARE MODE")  # The table that is emptied last.
        with Restoring("-m", "server", "restore", str(made), "--yes") as restoring:
            while not await watching.fetchval(waiting):
                restoring.check_goes_on()
            restoring.kill()
        await holding.execute("ROLLBACK")
        async with asyncio.timeout(30):
            while await watching.fetchval(held):
                pass
    finally:
        await watching.close()
        await holding.close()
    assert await rows_of(PostgresDatabase(postgres_url)) == before
    committed = await store.commit([service("more")], Terms(actor="tests"))
    assert committed.head.point.revision == point.revision + 1
    await store.close()

"""``tracing-config backup``: everything that a database holds, in one file."""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.cli.database import database_of_settings, run
from server.cli.failures import Failed
from server.cli.output import counted, print_json, say, tell
from server.cli.progress import Progress
from server.cli.s3 import S3, SCHEME, Address

if TYPE_CHECKING:
    from storage.backup import Database, Manifest, Row, Table
    from storage.backup_file import BackupFile

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
File = Annotated[str, typer.Argument(metavar="FILE", help="A backup: a file, or s3://bucket/folder/name.")]

UNNOTED = (
    "name a server that takes writes, and a user who may: `GRANT SELECT ON store; GRANT SELECT, INSERT, DELETE ON backups`; "
    "or note it there yourself: `INSERT INTO backups (place) VALUES ('...')`"
)

commands = typer.Typer(name="backup", invoke_without_command=True)


@commands.callback()
def backup(
    context: typer.Context,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="A folder, or the file; without it and --upload, this folder.")
    ] = None,
    upload: Annotated[
        str | None, typer.Option("--upload", metavar="S3", help="s3://bucket/folder/; without --output nothing stays here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write all records, revisions and changes into one file.

    They are read as of one moment, without holding up anybody, from the database that the server's settings name:
    TRACING_CONFIG_DATABASE_URL, or TRACING_CONFIG_DATA_DIR for SQLite. S3 takes AWS's usual variables. The database notes
    the backup, so that servers can tell how old the last one is.
    """
    if context.invoked_subcommand is not None:
        return
    address = None if upload is None else Address.of(upload, "--upload")
    database = database_of_settings()
    s3 = None if address is None else S3()
    with ExitStack() as stack:
        only_sent = output is None and s3 is not None
        if only_sent:
            output = f"{stack.enter_context(_temporary_folder())}/"
        file, manifest, problem = _write(database, output or "./")
        size = file.stat().st_size
        if s3 is not None and address is not None:
            address = address.below(file.name)
            try:
                _upload(s3, file, size, address)
            except Failed as error:
                raise Failed(f"{error}" if only_sent else f"{error}\nthe backup stays in {file}") from None
    stays = None if only_sent else str(file)
    sent = None if address is None else str(address)
    noted = problem is None and _note(database, manifest, sent or file.name, size)
    if as_json:
        print_json({**described(manifest), "file": stays, "uploaded": sent, "bytes": size, "noted": noted})
    else:
        say(f"{' and '.join(filter(None, (stays, sent)))}: {contents(manifest)}, {size / 1e6:.1f} MB")
    if problem:
        raise Failed(f"the backup is written, but {problem}; the database is so: `tracing-config validate` tells more")


def _note(database: "Database", manifest: "Manifest", place: str, size: int) -> bool:
    """Let servers tell how old the last backup is; whether that was possible. A backup is one without it too."""
    try:
        run(database.note(manifest, place, size), database)
    except Failed as error:
        tell(f"warning: the backup is made, but the database could not note it, so that servers take it for missing: {error}")
        tell(f"  {UNNOTED}")
        return False
    return True


@commands.command("verify", epilog="Example: tracing-config backup verify FILE")
def verify(file: File, as_json: AsJson = False) -> None:
    """Restore a backup into a scratch database, and compare every row and every checksum. No server is asked."""
    from storage.backup_check import verify as verify_in  # noqa: PLC0415 - what the others do not need
    from storage.sqlite.backup import SqliteDatabase  # noqa: PLC0415

    with (
        opened(file) as found,
        _temporary_folder() as folder,
        Progress(enabled=sys.stderr.isatty()) as progress,
    ):
        manifest = found.manifest
        scratch = SqliteDatabase(folder / "scratch.db")
        restored, compared = (Counted(progress, step, manifest.rows) for step in ("restoring", "comparing"))
        try:
            run(verify_in(found, scratch, restored=restored.add, compared=compared.add), scratch)
        except Failed as error:
            raise Failed(f"{file}: {error}") from None
    if as_json:
        print_json({**described(manifest), "valid": True})
    else:
        say(f"{file} is right: {contents(manifest)}")


@contextmanager
def opened(file: str) -> Iterator["BackupFile"]:
    """A backup, brought here first where it is in S3. Raises Failed."""
    from storage.backup_file import open_backup  # noqa: PLC0415
    from storage.errors import BackupInvalid  # noqa: PLC0415

    with ExitStack() as stack:
        path = Path(file)
        if file.startswith(SCHEME):
            address = Address.of(file, "FILE")
            path = stack.enter_context(_temporary_folder()) / "backup"
            S3().download(address, path)
        try:
            found = stack.enter_context(open_backup(path))
        except BackupInvalid as error:
            raise Failed(str(error).replace(str(path), file)) from None
        except OSError as error:
            raise Failed(f"{file}: cannot be read: {error.strerror}") from None
        yield found


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder that only this user may look into, and that is gone afterwards. Raises Failed."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="tracing-config-")
    except OSError as error:
        raise Failed(f"no temporary folder can be made: {error.strerror}; name one with room in TMPDIR") from None
    with folder as path:
        yield Path(path)


def described(manifest: "Manifest") -> dict[str, Any]:
    """A manifest as JSON."""
    import msgspec  # noqa: PLC0415

    found: dict[str, Any] = msgspec.to_builtins(manifest)
    return {"point": str(manifest.point), **found}


def contents(manifest: "Manifest") -> str:
    """What is in a backup, in a few words."""
    rows = manifest.rows
    records = rows["tracing_configurations"] + rows["sampling_policies"]
    return (
        f"{manifest.point} of the store {manifest.store_id}, {counted(records, 'record')}, "
        f"{counted(rows['changes'], 'change')} in {counted(rows['revisions'], 'revision')}"
    )


class Counted:
    """Rows that go by, on a progress bar."""

    def __init__(self, progress: Progress, step: str, rows: Mapping[str, int]) -> None:
        """``rows``: by table, how many there are."""
        self._progress, self._step = progress, step
        self._done, self._total = 0, sum(rows.values())

    def add(self, rows: int) -> None:
        """So many more."""
        self._done += rows
        self._progress.show(self._step, self._done, self._total, f"{self._done} of {counted(self._total, 'row')}")


def _write(database: "Database", output: str) -> tuple[Path, "Manifest", str | None]:
    """The file, which nobody sees before it is whole; what is in it; and what does not fit together there. Raises Failed."""
    folder = Path(output) if output.endswith("/") or Path(output).is_dir() else Path(output).parent
    temporary = None
    if (found := Path(output)).exists() and not (found.is_file() or found.is_dir()):
        raise Failed(f"{output}: this is no file that a backup could replace; name another place with --output")
    try:
        if output.endswith("/"):
            folder.mkdir(parents=True, exist_ok=True)
        # Its mode is 0600.
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".tracing-config-", suffix=".tmp", delete=False) as opened_file:
            temporary = Path(opened_file.name)
            manifest, problem = run(_dump(database, opened_file), database)
            opened_file.flush()
            os.fsync(opened_file.fileno())
        at = f"{manifest.created_at:%Y%m%d-%H%M%S}-{manifest.point}"
        is_folder = folder == Path(output)
        file = folder / f"tracing-config-backup-{at}.jsonl.gz" if is_folder else Path(output)
        temporary.replace(file)
        _sync(folder)
    except OSError as error:
        cure = "name another place with --output"
        raise Failed(f"{folder.absolute()}: the backup cannot be written there: {error.strerror}; {cure}") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return file, manifest, problem


async def _dump(database: "Database", file: Any) -> tuple["Manifest", str | None]:
    from importlib.metadata import version  # noqa: PLC0415

    from storage.backup_check import BackupCheck  # noqa: PLC0415
    from storage.backup_file import write_backup  # noqa: PLC0415

    check = BackupCheck()
    async with database.dump() as dump:
        with Progress(enabled=sys.stderr.isatty()) as progress:
            done = Counted(progress, "backing up", dump.rows)

            def written(table: "Table", rows: "Sequence[Row]") -> None:
                check.add(table, rows)
                done.add(len(rows))

            manifest = await write_backup(file, dump, store=database.name, program=version("tracing-config"), written=written)
    return manifest, check.problem(manifest)


def _upload(s3: S3, file: Path, size: int, address: Address) -> None:
    with Progress(enabled=sys.stderr.isatty()) as progress:
        done = 0

        def sent(more: int) -> None:
            nonlocal done
            done += more
            progress.show("uploading", done, size, f"{done / 1e6:.1f} of {size / 1e6:.1f} MB")

        s3.upload(file, address, sent)


def _sync(folder: Path) -> None:
    """Make what was renamed there outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

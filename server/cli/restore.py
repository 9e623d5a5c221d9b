"""``tracing-config restore``: a database as it was."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.cli.backup import AsJson, Counted, File, contents, described, opened
from server.cli.database import database_of_settings, run
from server.cli.dry_run import PENDING, Yes, ask, check_can_ask
from server.cli.output import counted, print_json, say, tell
from server.cli.progress import Progress

if TYPE_CHECKING:
    from storage.backup import Manifest, Target
    from storage.interface import Point

DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; tell what would be replaced, and end with 3.")]

MOVED = "it was changed meanwhile; this is what is there now:"

WHERE = "`tracing-config restore FILE --dry-run` tells where the store is"


def restore(file: File, dry_run: DryRun = False, yes: Yes = False, as_json: AsJson = False) -> None:
    """Replace a whole database by a backup. Tells the point that it goes back to, and asks.

    The database is that of the server's settings: TRACING_CONFIG_DATABASE_URL, or TRACING_CONFIG_DATA_DIR for SQLite.
    Servers may run meanwhile, and follow when all is there.
    """
    from storage.backup import only_over  # noqa: PLC0415 - what the others do not need
    from storage.errors import HeadMoved  # noqa: PLC0415

    if not dry_run:
        check_can_ask(yes=yes, as_json=as_json)
    database = database_of_settings()
    with opened(file) as backup:
        manifest = backup.manifest
        replaced = _Replaced(database.address, manifest, quiet=as_json)
        while True:
            replaced.show(run(database.target(manifest.revision), database))
            if dry_run:
                break
            ask("Replace everything there by the backup?", yes=yes)
            agreed = replaced.show_what_moved if yes else only_over(replaced.point)
            try:
                with Progress(enabled=sys.stderr.isatty()) as progress:
                    done = Counted(progress, "restoring", manifest.rows)
                    run(database.restore(backup, agreed, done.add), database)
                break
            except HeadMoved:
                tell(MOVED)
            except KeyboardInterrupt:
                tell(f"interrupted; {WHERE}")
                raise
    if as_json:
        print_json({**described(manifest), **replaced.described(), "database": database.address, "restored": not dry_run})
    elif not dry_run:
        say(f"{database.address} is restored: {contents(manifest)}")
    if dry_run:
        raise typer.Exit(PENDING)


class _Replaced:
    """What stands where the backup goes, as it was last seen."""

    def __init__(self, address: str, manifest: "Manifest", *, quiet: bool) -> None:
        self._address, self._manifest, self._quiet = address, manifest, quiet
        self._target: Target | None = None

    @property
    def point(self) -> "Point | None":
        return None if self._target is None else self._target.point

    def show(self, target: "Target | None") -> None:
        """Tell what becomes of what is there."""
        self._target = target
        if self._quiet:
            return
        manifest, address = self._manifest, self._address
        at = f"{manifest.created_at:%Y-%m-%d %H:%M:%S}Z"
        say(f"The backup of {at}, by version {manifest.program} from {manifest.store}, holds {contents(manifest)}.")
        if target is None:
            say(f"In {address} is no store: it becomes this one.")
            return
        say(f"In {address} is {target.point} of the store {target.point.store_id}.")
        say(_effect(manifest, target), "yellow")

    def show_what_moved(self, target: "Target | None") -> None:
        """Tell it again where commits came since: who answers in advance agrees to that too, however fast they come."""
        if target != self._target:
            tell(MOVED)
            self.show(target)

    def described(self) -> dict[str, Any]:
        """What was there, as JSON."""
        point = self.point
        return {"replacedPoint": point and str(point), "replacedStoreId": point and point.store_id}


def _effect(manifest: "Manifest", target: "Target") -> str:
    """What becomes of the store that is there."""
    now, then = target.point, manifest.point
    if now.store_id != then.store_id:
        return f"This is another store: all of it is lost, and its replicas follow the store {then.store_id} from now on."
    if now == then:
        return f"It is at the point of the backup, {then}: no commit is lost, and edits by SQL are."
    if target.commit_at_backup is None:
        return f"It is behind the backup: it goes forward from {now} to {then}."
    if target.commit_at_backup != then.commit_id:
        return f"It went another way since: it goes from {now} to {then}, and commits that are not in the backup are lost."
    lost = counted(now.revision - then.revision, "revision is", "revisions are")
    return f"It goes back from {now} to {then}: {lost} lost."

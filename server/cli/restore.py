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

DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; tell what would be replaced, and end with 3.")]

WHERE = "`tracing-config restore FILE --dry-run` tells where the store is"


def restore(file: File, dry_run: DryRun = False, yes: Yes = False, as_json: AsJson = False) -> None:
    """Replace a whole database by a backup. Tells the point that it goes back to, and asks.

    The database is that of the server's settings: TRACING_CONFIG_DATABASE_URL, or TRACING_CONFIG_DATA_DIR for SQLite.
    Servers may run meanwhile, and follow when all is there.
    """
    from storage.errors import HeadMoved  # noqa: PLC0415 - what the others do not need

    if not dry_run:
        check_can_ask(yes=yes, as_json=as_json)
    database = database_of_settings()
    with opened(file) as backup:
        manifest = backup.manifest
        while True:
            target = run(database.target(manifest.revision), database)
            if not as_json:
                _show(database.address, manifest, target)
            if dry_run:
                break
            ask("Replace everything there by the backup?", yes=yes)
            try:
                with Progress(enabled=sys.stderr.isatty()) as progress:
                    done = Counted(progress, "restoring", manifest.rows)
                    run(database.restore(backup, target.point if target else None, done.add), database)
                break
            except HeadMoved:
                tell("it was changed meanwhile; this is what is there now:")
            except KeyboardInterrupt:
                tell(f"interrupted; {WHERE}")
                raise
    if as_json:
        print_json({**described(manifest), **_replaced(target), "database": database.address, "restored": not dry_run})
    elif not dry_run:
        say(f"{database.address} is restored: {contents(manifest)}")
    if dry_run:
        raise typer.Exit(PENDING)


def _show(address: str, manifest: "Manifest", target: "Target | None") -> None:
    at = f"{manifest.created_at:%Y-%m-%d %H:%M:%S}Z"
    say(f"The backup of {at}, by version {manifest.program} from {manifest.store}, holds {contents(manifest)}.")
    if target is None:
        say(f"In {address} is no store: it becomes this one.")
        return
    say(f"In {address} is {target.point} of the store {target.point.store_id}.")
    say(_effect(manifest, target), "yellow")


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


def _replaced(target: "Target | None") -> dict[str, Any]:
    """What was there, as JSON."""
    if target is None:
        return {"replacedPoint": None, "replacedStoreId": None}
    return {"replacedPoint": str(target.point), "replacedStoreId": target.point.store_id}

"""The commands of ``tracing-config``. Each is imported with all others: what is heavy, they import when they run."""

import sys
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from server.cli import apply as applying
from server.cli import (
    backup,
    boost,
    delete,
    doctor,
    env,
    explain,
    get,
    history,
    lists,
    poll,
    restore,
    rollback,
    set,  # noqa: A004 - a command
    store,
    token,
    transfer,
    validate,
)
from server.cli.failures import Failed
from server.cli.output import tell

RECORDS, WHY, PAST, WHOLE, SERVER = "Records", "Why", "The past", "The whole", "The server"

PANELS = {
    RECORDS: ("get", "set", "delete", "list", "boost"),
    WHY: ("explain", "poll", "env"),
    PAST: ("history", "diff", "rollback"),
    WHOLE: ("export", "import", "apply", "backup", "restore"),
    SERVER: ("serve", "health", "doctor", "validate", "token", "store"),
}
"""The order in which help shows the commands."""

MARKUP: Literal["rich"] | None = "rich" if sys.stdout.isatty() and sys.stderr.isatty() else None
"""Help and usage errors have frames and colours where somebody sees them; elsewhere they are plain lines."""


class Commands(TyperGroup):
    """All commands by panel, and how one that fails ends."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the library's signature
        """In the order of the panels."""
        return [name for names in PANELS.values() for name in names]

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the library's signature
        """The panels, where they are not drawn."""
        for panel, names in PANELS.items():
            with formatter.section(panel):
                width = formatter.width - 14
                formatter.write_dl([(name, self.commands[name].get_short_help_str(width)) for name in names])

    def invoke(self, ctx: Any) -> Any:
        """Run one command; what it could not do is told on the standard error."""
        try:
            return super().invoke(ctx)
        except Failed as error:
            for line in f"tracing-config: {error}".split("\n"):
                tell(line)
            raise typer.Exit(error.exit_code) from None


commands = typer.Typer(
    cls=Commands,
    name="tracing-config",
    help="Serves Jaeger remote sampling strategies; changes and explains them.",
    epilog="The server is asked at TRACING_CONFIG_URL, with the token in TRACING_CONFIG_TOKEN or in the file that "
    "TRACING_CONFIG_TOKEN_FILE names. Exit codes: 0 done or nothing to do, 1 failed, 2 wrong usage, 3 changes are pending in "
    "a dry run. Example: tracing-config explain checkout",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=MARKUP,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - only who asks for it

        print(version("tracing-config"))
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", help="Print the version and end.", callback=_version, is_eager=True)]


@commands.callback()
def main(version: Version = False) -> None:
    """Serves Jaeger remote sampling strategies; changes and explains them."""


def serve() -> None:
    """Run the server. Settings are environment variables; deploy/example.env documents them."""
    from server.cli.serve import run_server  # noqa: PLC0415 - the other commands start faster without the server's parts

    raise typer.Exit(run_server())


def health() -> None:
    """Whether the server of this machine answers. Its settings are looked at for the port; a container's health check."""
    from server.cli.health import check_health  # noqa: PLC0415 - only who asks for it

    raise typer.Exit(check_health())


for group, panel, example in (
    (get.commands, RECORDS, "get service checkout"),
    (set.commands, RECORDS, "set service checkout -p 0.05"),
    (delete.commands, RECORDS, "delete service checkout"),
    (lists.commands, RECORDS, "list services --name check"),
    (token.commands, SERVER, "token create ci --role editor"),
    (store.commands, SERVER, "store accept"),
    (backup.commands, WHOLE, "backup --upload s3://exalt-backups/tracing-config/"),
):
    commands.add_typer(group, rich_help_panel=panel, epilog=f"Example: tracing-config {example}")

for name, command, panel, example in (
    ("boost", boost.boost, RECORDS, "boost checkout -p 1 --for 30m --reason 'incident 4711'"),
    ("explain", explain.explain, WHY, "explain checkout --operation 'GET /health'"),
    ("poll", poll.poll, WHY, "poll checkout --http"),
    ("env", env.env, WHY, "env checkout --dotenv"),
    ("history", history.history, PAST, "history checkout --since 2h --full"),
    ("diff", history.diff, PAST, "diff 118 121"),
    ("rollback", rollback.rollback, PAST, "rollback 118 --reason 'not what we meant'"),
    ("export", transfer.export, WHOLE, "export --output backup.json"),
    ("import", transfer.import_, WHOLE, "import strategies.json --dry-run"),
    ("apply", applying.apply, WHOLE, "apply -f sampling --owner payments --prune"),
    ("restore", restore.restore, WHOLE, "restore backup.jsonl.gz --dry-run"),
    ("serve", serve, SERVER, "serve"),
    ("health", health, SERVER, "health"),
    ("doctor", doctor.doctor, SERVER, "doctor --no-spans"),
    ("validate", validate.validate, SERVER, "validate strategies.json --strict"),
):
    commands.command(name, rich_help_panel=panel, epilog=f"Example: tracing-config {example}")(command)

"""The commands of ``tracing-config``."""

import typer

from server.cli.validate import validate

commands = typer.Typer(
    name="tracing-config",
    help="Serves Jaeger remote sampling strategies, and changes them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@commands.command()
def serve() -> None:
    """Run the server. Settings are environment variables; deploy/example.env documents them."""
    from server.cli.serve import run_server  # noqa: PLC0415 - the other commands start faster without the server's parts

    raise typer.Exit(run_server())


commands.command()(validate)

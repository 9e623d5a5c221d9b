"""The command ``tracing-config``; ``python -m server`` is the server."""

import sys

import typer

from server.cli.serve import serve
from server.cli.validate import validate

app = typer.Typer(
    name="tracing-config",
    help="Serves Jaeger remote sampling strategies, and changes them.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(validate)


def main() -> None:
    """Run the command that the arguments name."""
    app()


if __name__ == "__main__":
    app(sys.argv[1:] or ["serve"])

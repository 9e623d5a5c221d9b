"""The command ``tracing-config``; ``python -m server`` is the server."""

import io
import sys


def main() -> None:
    """Run the command that the arguments name."""
    run(sys.argv[1:])


def run(arguments: list[str]) -> None:
    """Run one command, and end the process with its exit code."""
    if arguments == ["serve"]:
        # Not through the command line's library: the server would carry its 8 MB for ever.
        from server.cli.serve import run_server  # noqa: PLC0415

        sys.exit(run_server())
    from server.cli.commands import commands  # noqa: PLC0415

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name is printed also where the locale has no letters for it.
            stream.reconfigure(errors="backslashreplace")
    commands(arguments, prog_name="tracing-config")


if __name__ == "__main__":
    run(sys.argv[1:] or ["serve"])

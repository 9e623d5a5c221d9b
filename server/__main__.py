"""The command ``tracing-config``; ``python -m server`` is the server."""

import gc
import sys

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of the signal."""


def main() -> None:
    """Run the command that the arguments name."""
    run(sys.argv[1:])


def run(arguments: list[str]) -> None:
    """Run one command, and end the process with its exit code."""
    try:
        if arguments == ["serve"]:
            gc.disable()  # As ``server.app`` does, until all is loaded: it would walk what is imported for 60 ms.
            # Not through the command line's library: the server would carry its 8 MB for ever.
            from server.cli.serve import run_server  # noqa: PLC0415

            sys.exit(run_server())
        if arguments == ["health"]:
            # Neither: it runs every few seconds, for ever.
            from server.cli.health import check_health  # noqa: PLC0415

            sys.exit(check_health())
        from server.cli.standard_streams import standard_streams  # noqa: PLC0415

        with standard_streams():
            from server.cli.commands import commands  # noqa: PLC0415

            commands(arguments, prog_name="tracing-config")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    run(sys.argv[1:] or ["serve"])

"""``python -m bench [polls|sizes|writes|imports|resolve|recovery|scrapes ...]``: tables on stdout, progress on stderr."""

import argparse
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from bench import h2load
from bench.answer import WrongAnswer
from bench.imports import imports
from bench.polls import compare
from bench.recovery import recovery
from bench.resolve import resolve
from bench.scrapes import scrapes
from bench.sizes import sizes
from bench.writes import writes

PARTS = ("polls", "sizes", "writes", "imports", "resolve", "recovery", "scrapes")


def main() -> int:
    """Run the parts; the exit code: 1 where a server did not answer as it should, 2 where something is missing."""
    parser = argparse.ArgumentParser(prog="bench", description="What the server costs, beside what it compares with.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"some of: {', '.join(PARTS)}; all of them if none is named")
    parser.add_argument(
        "--rounds", type=int, default=15, help="how often polls are compared, and scrapes (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=0.25, help="about how long each of their loads lasts (default: %(default)s)"
    )
    arguments = parser.parse_args()
    parts = arguments.parts or PARTS
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"no part is called {unknown[0]}; there are {', '.join(PARTS)}")
    if not 1 <= arguments.rounds <= 100 or not 0.1 <= arguments.seconds <= 10:
        parser.error("--rounds is 1 to 100, and --seconds 0.1 to 10")
    if "polls" in parts and not h2load.is_installed():
        print(f"bench: {h2load.MISSING}", file=sys.stderr)
        return 2
    # What is measured are default settings, whatever the developer's own are.
    for name in [name for name in os.environ if name.startswith("TRACING_CONFIG_") or name == "LOG_LEVEL"]:
        del os.environ[name]
    try:
        for part in parts:
            with tempfile.TemporaryDirectory(prefix="tracing-config-bench-") as folder:
                _run(part, Path(folder), arguments.rounds, arguments.seconds)
    except KeyboardInterrupt:
        return 130
    except (WrongAnswer, h2load.LoadFailed) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    packages = ", ".join(f"{name} {version(name)}" for name in ("h2corn", "grpcio", "uvloop"))
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {packages}")
    return 0


def _run(part: str, folder: Path, rounds: int, seconds: float) -> None:
    if part == "polls":
        table = compare(folder, rounds, seconds)
    elif part == "sizes":
        table = sizes(folder)
    elif part == "writes":
        table = writes(folder)
    elif part == "imports":
        table = imports(folder)
    elif part == "recovery":
        table = recovery(folder)
    elif part == "scrapes":
        table = scrapes(folder, rounds)
    else:
        table = resolve()
    print(table, flush=True)


sys.exit(main())

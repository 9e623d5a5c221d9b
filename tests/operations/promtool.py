"""Prometheus's own program that checks rules. Without it the tests of operations fail: nothing is shown then."""

import shutil
import subprocess
from pathlib import Path

PROGRAM = shutil.which("promtool")


def promtool(*arguments: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """What it says of them; its exit code is 0 where all is well."""
    assert PROGRAM is not None, "promtool is not installed (Debian: apt-get install prometheus)"
    command = [PROGRAM, *map(str, arguments)]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)

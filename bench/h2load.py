"""Load from ``h2load``, the client of the nghttp2 project: it needs less processor time than any server here."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from server.polls.services import POLL

COMMAND = "h2load"

MISSING = "h2load is not installed; it comes with nghttp2-client in Debian and Ubuntu"

LONGEST_SECONDS = 60.0
"""A run that takes longer is given up."""

_SUCCEEDED = re.compile(r"^requests: .* (\d+) succeeded, 0 failed, 0 errored, 0 timeout$", re.MULTILINE)
_STATUS_2XX = re.compile(r"^status codes: (\d+) 2xx", re.MULTILINE)
_BODY_BYTES = re.compile(r"\((\d+)\) data$", re.MULTILINE)
_REQUESTS_PER_SECOND = re.compile(r"^finished in .*, ([0-9.]+) req/s", re.MULTILINE)


class LoadFailed(Exception):
    """Is raised where not every request was answered as it should be: what was measured then is worth nothing."""


def is_installed() -> bool:
    """Whether there is an h2load on the path."""
    return shutil.which(COMMAND) is not None


def grpc_load(port: int, options: Sequence[str], request: Path) -> list[str]:
    """The arguments for gRPC polls that all send this framed message: h2load takes one body a run."""
    headers = ("-H", "content-type: application/grpc", "-H", "te: trailers")
    return [*options, *headers, "-d", str(request), f"http://127.0.0.1:{port}{POLL}"]


def http_load(port: int, options: Sequence[str], paths: Path) -> list[str]:
    """The arguments for HTTP/1.1 polls: every connection walks through the paths of this file, one a line."""
    return ["--h1", *options, "-i", str(paths), "-B", f"http://127.0.0.1:{port}"]


def run(arguments: Sequence[str], requests: int, body_bytes: int | None = None) -> float:
    """Send so many requests; their rate per second. ``body_bytes`` is what every answer must have, if it is known.

    Raises:
        LoadFailed: an answer was missing, was not 2xx, or had another size.
    """
    command = [COMMAND, "--requests", str(requests), "--threads", "1", *arguments]
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LONGEST_SECONDS).stdout
    except subprocess.TimeoutExpired:
        raise LoadFailed(f"{' '.join(command)}: took longer than {LONGEST_SECONDS:.0f} s") from None
    except subprocess.CalledProcessError as error:
        raise LoadFailed(f"{' '.join(command)}: {error.stderr.strip()}") from None
    for expression, wanted in ((_SUCCEEDED, requests), (_STATUS_2XX, requests), (_BODY_BYTES, (body_bytes or 0) * requests)):
        found = expression.search(output)
        if found is None or (wanted and int(found[1]) != wanted):
            raise LoadFailed(f"{' '.join(command)}: not every request was answered as it should be:\n{output}")
    rate = _REQUESTS_PER_SECOND.search(output)
    return float(rate[1]) if rate else 0.0

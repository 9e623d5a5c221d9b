"""The standard streams of a command: it ends as it should also where they are closed, full, or read by nobody any more."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Output(io.FileIO):
    """Takes everything: from the first bytes that cannot be written on, all is lost in silence."""

    lost = False
    error: OSError | None = None
    """Why, where it is not that the reader has gone away."""

    def write(self, data: "ReadableBuffer", /) -> int:
        if not self.lost:
            try:
                return super().write(data)
            except BrokenPipeError:
                self.lost = True
            except OSError as error:
                self.lost, self.error = True, error
        return memoryview(data).nbytes


def occupy_closed_descriptors() -> None:
    """Let 0 to 2 be nobody else's: native code writes its words to the standard error, whatever that is."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)


@contextmanager
def standard_streams() -> Iterator[None]:
    """Streams for a command, which keeps its exit code when `| head` has seen enough.

    Raises:
        SystemExit: 1 where the output cannot be written.
    """
    # A stream that is closed is None. Whatever is opened next would get its number.
    sys.stdin = sys.stdin or Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - it is closed with the process
    output, sys.stdout = _output(sys.stdout)
    _, sys.stderr = _output(sys.stderr)
    try:
        yield
    finally:
        sys.stdout.flush()
        if output.error is not None:
            print(f"tracing-config: the output cannot be written: {output.error.strerror}", file=sys.stderr)
            sys.exit(1)


def _output(stream: TextIO | None) -> tuple[_Output, TextIO]:
    """The same file; a name is printed also where its encoding has no letters for it."""
    file, encoding, by_line = None, "utf-8", False
    if isinstance(stream, io.TextIOWrapper):
        file, encoding, by_line = stream.fileno(), stream.encoding, stream.line_buffering or stream.write_through
    raw = _Output(os.open(os.devnull, os.O_WRONLY) if file is None else file, "w", closefd=False)
    return raw, io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=by_line)

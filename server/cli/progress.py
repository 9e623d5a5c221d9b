"""A progress bar on the standard error, where somebody watches."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID


class Progress:
    """Shows one step after the other; shows nothing where it is not enabled."""

    def __init__(self, *, enabled: bool) -> None:
        self._bar: Bar | None = None
        self._task: tuple[str, TaskID] | None = None
        if enabled:
            from rich import progress  # noqa: PLC0415
            from rich.console import Console  # noqa: PLC0415 - only a terminal needs it

            columns = (
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.TextColumn("{task.fields[said]}"),
                progress.TimeRemainingColumn(),
            )
            self._bar = progress.Progress(*columns, console=Console(stderr=True), transient=True)

    def show(self, step: str, done: int, total: int | None, said: str) -> None:
        """So much of a step is done; without a total nobody knows how much there is to do."""
        if self._bar is None:
            return
        if self._task is None or self._task[0] != step:
            if self._task is not None:
                self._bar.update(self._task[1], visible=False)
            self._task = step, self._bar.add_task(step, total=total, said=said)
        # The end of a step is drawn at once: the next one may begin before the bar is drawn by itself.
        self._bar.update(self._task[1], completed=done, total=total, said=said, refresh=done == total)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

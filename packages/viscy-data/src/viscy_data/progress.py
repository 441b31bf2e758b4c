"""One progress bar for work that takes more than a few seconds."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, override

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from viscy_data.text import shown as one_line

_EVERY: Final = 60.0
"""Seconds from one line of a log to the next."""


class LoggedProgress(Progress):
    """A rich display that writes its bars once a minute where it goes to a file, as on a cluster.

    There rich itself writes a bar when it is full, and nothing before.
    """

    def __init__(self, *columns: Any, **options: Any) -> None:
        super().__init__(*columns, **options)
        self._next = time.monotonic() + _EVERY

    @override
    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Change a task, as rich does."""
        super().update(task_id, **changes)
        self._log()

    @override
    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Move a task on, as rich does."""
        super().advance(task_id, advance)
        self._log()

    def _log(self) -> None:
        if not self.console.is_terminal and not self.finished and time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY
            self.console.print(self.get_renderable())


@contextmanager
def progress_bar(title: str, total: int, *, unit: str, shown: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar with a rate on the standard error stream; give the function that moves it on.

    The function may be called from several threads. Nothing is shown when ``shown`` is false, or where there
    is nothing to do: a bar of 0 of 0 looks like one that is stuck. In a file it is a line a minute.
    """
    if not shown or not total:
        yield lambda _: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit + " {task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with LoggedProgress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(one_line(title), total=total, rate="")

        def advance(steps: int) -> None:
            bar.advance(task, steps)
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            bar.update(
                task,
                rate="" if not speed else f"({speed:.0f}/s)" if speed > 1 else f"({1 / speed:.0f} s each)",
            )

        yield advance

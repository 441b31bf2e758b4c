"""One progress bar for work that takes more than a few seconds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from viscy_data.text import shown as one_line


@contextmanager
def progress_bar(title: str, total: int, *, unit: str, shown: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar with a rate on the standard error stream; give the function that moves it on.

    The function may be called from several threads. Nothing is shown when ``shown`` is false, or where there
    is nothing to do: a bar of 0 of 0 looks like one that is stuck.
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
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(one_line(title), total=total, rate="")

        def advance(steps: int) -> None:
            bar.advance(task, steps)
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            bar.update(
                task,
                rate="" if not speed else f"({speed:.0f}/s)" if speed > 1 else f"({1 / speed:.0f} s each)",
            )

        yield advance

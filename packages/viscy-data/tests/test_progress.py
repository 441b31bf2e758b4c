"""A bar is shown where there is work, and where it is asked for; in a log it is a line a minute."""

import io
import time

import pytest
from rich.console import Console

from viscy_data.progress import LoggedProgress, progress_bar


@pytest.mark.parametrize(("total", "shown", "seen"), [(2, True, True), (0, True, False), (2, False, False)])
def test_a_bar_is_of_work_that_there_is(
    total: int, shown: bool, seen: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar("reading", total, unit="rows", shown=shown) as advance:
        advance(total)
    assert ("reading" in capsys.readouterr().err) is seen


@pytest.mark.parametrize(("is_terminal", "lines"), [(False, 3), (True, 0)])
def test_a_log_gets_a_line_a_minute(is_terminal: bool, lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten steps of 20 seconds: lines after 3, 6 and 9 of them, and rich's own at the end."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    log = io.StringIO()
    console = Console(file=log, width=80, force_terminal=is_terminal)
    bar = LoggedProgress("{task.description} {task.completed}", console=console, auto_refresh=False)
    task = bar.add_task("reading", total=10)
    for step in range(10):
        clock[0] += 20.0
        if step % 2:
            bar.advance(task, 1)
        else:
            bar.update(task, advance=1)
    written = [line.strip() for line in log.getvalue().splitlines()]
    assert written == ["reading 3", "reading 6", "reading 9"][:lines]

"""The bar: what it shows, and who opens and closes it."""

import io
from types import SimpleNamespace
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from viscy_train.callbacks import FitProgress, fit_columns
from viscy_train.callbacks.data_wait import FRACTION, PATCHES


def trainer(total: float = 4) -> Any:
    return SimpleNamespace(
        estimated_stepping_batches=total,
        global_step=0,
        progress_bar_metrics={},
        is_last_batch=False,
        num_training_batches=4,
    )


def shown(bar: FitProgress, run: Any, steps: int) -> None:
    bar.on_train_start(run, run)
    for step in range(steps):
        run.global_step = step + 1
        run.progress_bar_metrics = {"train/loss": torch.tensor(2.0 - step / 10)}
        bar.on_train_batch_end(run, run, None, None, step)


def test_shows_steps_loss_and_rate() -> None:
    output = io.StringIO()
    progress = Progress(*fit_columns(), console=Console(file=output, width=120, force_terminal=True))
    bar = FitProgress("train composed", progress)
    with progress:
        shown(bar, trainer(), 4)
        bar.on_train_end(trainer(), trainer())
    text = output.getvalue()
    assert "train composed" in text
    assert "4/4" in text
    assert "loss 1.700" in text
    assert "steps/s" in text


def test_a_narrow_terminal_shortens_the_bar_and_nothing_else() -> None:
    output = io.StringIO()
    progress = Progress(*fit_columns(), console=Console(file=output, width=80, force_terminal=True))
    bar = FitProgress("train, composed batches", progress)
    with progress:
        shown(bar, trainer(450), 450)
        bar.on_train_end(trainer(), trainer())
        output.truncate(output.seek(0))
        progress.console.print(progress.get_renderable())
        lines = Text.from_ansi(output.getvalue()).plain.splitlines()
    (line,) = [line for line in lines if "450/450" in line]
    assert "steps/s" in line
    assert "loss" in line


def test_a_long_run_is_readable_at_80_columns() -> None:
    progress = Progress(*fit_columns(), console=Console(file=io.StringIO(), width=80))
    bar, run = FitProgress(progress=progress), trainer(50_000)
    bar.on_train_start(run, run)
    for step in (12_344, 12_345):
        run.global_step = step
        run.progress_bar_metrics = {"train/loss": torch.tensor(2.0), FRACTION: 0.25, PATCHES: 2345.0}
        bar.on_train_batch_end(run, run, None, None, step)
    output = io.StringIO()
    Console(file=output, width=80).print(progress.make_tasks_table(progress.tasks))
    (line,) = output.getvalue().splitlines()
    assert line.startswith("train ")
    for part in ("12345/50000", "loss 2.000", "2,345 patches/s", "wait 25%"):
        assert part in line


def test_shows_patches_and_waiting_where_they_are_logged() -> None:
    progress = Progress(*fit_columns(), console=Console(file=io.StringIO()))
    bar, run = FitProgress(progress=progress), trainer()
    bar.on_train_start(run, run)
    run.progress_bar_metrics = {"train/loss": torch.tensor(2.0), FRACTION: 0.25, PATCHES: 1234.0}
    bar.on_train_batch_end(run, run, None, None, 0)
    assert progress.tasks[0].fields["loss"] == "loss 2.000 1,234 patches/s wait 25%"


def test_a_resumed_run_starts_where_it_was() -> None:
    progress = Progress(*fit_columns(), console=Console(file=io.StringIO()))
    run = trainer(10)
    run.global_step = 6
    FitProgress(progress=progress).on_train_start(run, run)
    assert (progress.tasks[0].completed, progress.tasks[0].total) == (6, 10)


def test_a_given_display_stays_open_and_an_own_one_is_closed() -> None:
    progress = Progress(*fit_columns(), console=Console(file=io.StringIO()))
    progress.start()
    bar = FitProgress(progress=progress)
    shown(bar, trainer(), 1)
    bar.on_exception(trainer(), trainer(), RuntimeError())
    assert progress.live.is_started
    progress.stop()
    own = FitProgress()
    shown(own, trainer(float("inf")), 1)
    display = own._progress
    assert display is not None
    own.on_train_end(trainer(), trainer())
    assert not display.live.is_started


def test_disabled_shows_nothing() -> None:
    progress = Progress(*fit_columns(), console=Console(file=io.StringIO()))
    bar = FitProgress(progress=progress)
    bar.disable()
    shown(bar, trainer(), 2)
    assert progress.tasks == []
    bar.enable()
    shown(bar, trainer(), 1)
    assert len(progress.tasks) == 1

"""One bar for a whole fit, where Lightning would show one for each epoch."""

from collections.abc import Mapping
from typing import Any, override

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from viscy_data import LoggedProgress
from viscy_train.callbacks.data_wait import FRACTION, PATCHES


class FitProgress(ProgressBar):
    """Show steps done of steps planned, their rate, loss, patches/s and the time left, over all epochs.

    Parameters
    ----------
    title : str
        Text before the bar.
    progress : rich.progress.Progress, optional
        A running display to add the bar to; None starts one for the time of the fit.
    """

    def __init__(self, title: str = "train", progress: Progress | None = None) -> None:
        super().__init__()
        self._title = title
        self._given = progress
        self._enabled = True
        self._progress: Progress | None = None
        self._task = TaskID(0)

    @override
    def disable(self) -> None:
        """Show nothing: Lightning calls this on every rank but the first."""
        self._enabled = False

    @override
    def enable(self) -> None:
        """Show the bar again."""
        self._enabled = True

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar."""
        if not self._enabled:
            return
        self._progress = self._given or LoggedProgress(*fit_columns())
        if self._given is None:
            self._progress.start()
        total = trainer.estimated_stepping_batches
        self._task = self._progress.add_task(
            self._title,
            total=None if total == float("inf") else total,
            completed=trainer.global_step,
            loss="",
        )

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance to the optimiser's step."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._progress is not None:
            shown = _shown(trainer.progress_bar_metrics)
            self._progress.update(self._task, completed=trainer.global_step, loss=shown)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the bar."""
        self._close()

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the bar, so that the error is printed below it."""
        self._close()

    def _close(self) -> None:
        if self._progress is not None and self._given is None:
            self._progress.stop()
        self._progress = None


def _shown(metrics: Mapping[str, float]) -> str:
    """Return the loss and, where `DataWait` logs them, patches/s and the share of time that is waiting."""
    parts = []
    if "train/loss" in metrics:
        parts.append(f"loss {metrics['train/loss']:.3f}")
    if PATCHES in metrics:
        parts.append(f"{metrics[PATCHES]:,.0f} patches/s wait {metrics[FRACTION]:.0%}")
    return " ".join(parts)


class _Rate(ProgressColumn):
    @override
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} steps/s", style="cyan")


def fit_columns() -> tuple[ProgressColumn, ...]:
    """Return the columns of a fit's display, which fit into 80; its tasks need a field ``loss``."""
    return (
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        # the one that gives way where the terminal is narrow: a bar of a stated width does not
        BarColumn(bar_width=None, table_column=Column(min_width=4, max_width=40)),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        _Rate(table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[loss]}", table_column=Column(no_wrap=True)),
        # the time left, and at the end the time that it took
        TimeRemainingColumn(elapsed_when_finished=True, table_column=Column(no_wrap=True)),
    )

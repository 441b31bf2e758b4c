"""What the batches that training consumed were made of, counted over an epoch and over all ranks.

A run that goes on in the middle of an epoch has not seen its beginning, so the counts so far are kept in
the checkpoint, those of all ranks added up; rank 0 goes on from them.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, override

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray

from viscy_data import whole_file

FILE_NAME = "composition.csv"
_STATE = "viscy_train.composition"


class CompositionLog(Callback):
    """Count the anchors of every batch by experiment and condition, as they arrive at the model.

    Logged per step: ``train/experiments``, the number of experiments in the batch, and
    ``train/conditions``. At the end of each epoch the counts of all ranks are added up and written, for
    all epochs so far, to ``composition.csv`` in the logger's folder; where that cannot be, a warning says so
    and the run goes on.

    Parameters
    ----------
    by : sequence of str
        Columns of the anchors table whose combinations are counted, at least one.
    """

    def __init__(self, by: Sequence[str] = ("experiment", "condition")) -> None:
        if not by:
            raise ValueError("by=(): name at least one column to count by")
        self.by = tuple(by)
        self._epochs: list[pd.DataFrame] = []
        self._codes: NDArray[np.int64] = np.empty((0, len(by)), dtype=np.int64)
        self._names: list[list[str]] = []
        self._counts: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._restored: list[dict[str, Any]] = []

    def table(self) -> pd.DataFrame:
        """Return the counts: epoch, the columns counted by, anchors; combinations that occurred only."""
        columns = ["epoch", *self.by, "anchors"]
        return pd.concat(self._epochs, ignore_index=True) if self._epochs else pd.DataFrame(columns=columns)

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the columns as codes, which are the same on every rank."""
        anchors: pd.DataFrame = trainer.datamodule.dataset.anchors  # type: ignore[attr-defined]  # ours
        coded = [_coded(anchors[column]) for column in self.by]
        self._codes = np.stack([codes for codes, _ in coded], axis=1)
        self._names = [names for _, names in coded]
        self._counts = self._none()
        if trainer.is_global_zero:
            self._take_up()

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start counting anew."""
        self._end_restored(trainer.current_epoch)
        self._counts = self._none()

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Mapping[str, Any], batch_idx: int
    ) -> None:
        """Count a batch."""
        self._end_restored(trainer.current_epoch)
        codes = self._codes[batch["rows"].cpu().numpy()]
        np.add.at(self._counts, tuple(codes.T), 1)
        for column, values in zip(self.by, codes.T, strict=True):
            pl_module.log(f"train/{column}s", float(len(np.unique(values))))

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add up the ranks and write the table."""
        self._epochs.append(self._frame(trainer.current_epoch, self._total(trainer, pl_module)))
        # a checkpoint of the epoch's end begins with the next one
        self._counts = self._none()
        folder = trainer.log_dir  # every rank asks: the answer is broadcast
        if trainer.is_global_zero and trainer.loggers and folder is not None:
            _write(self.table(), Path(folder) / FILE_NAME)

    @override
    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the epochs so far, and the counts of the one under way."""
        under_way = self._frame(trainer.current_epoch, self._total(trainer, pl_module))
        checkpoint[_STATE] = {
            "by": list(self.by),
            "epochs": _records(self.table()),
            "under_way": _records(under_way),
        }

    @override
    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take them up again, where the same columns were counted."""
        state = checkpoint.get(_STATE, {})
        if state.get("by") != list(self.by):
            return
        self._epochs = [pd.DataFrame(state["epochs"])] if state["epochs"] else []
        self._restored = state["under_way"]

    def _end_restored(self, epoch: int) -> None:
        """End the epoch that was taken up, where it had no batches left: the trainer begins the next."""
        if self._restored and self._restored[0]["epoch"] != epoch:
            if self._counts.any():
                self._epochs.append(self._frame(self._restored[0]["epoch"], self._counts))
            self._counts = self._none()
        self._restored = []

    def _take_up(self) -> None:
        places = [dict(zip(names, range(len(names)), strict=True)) for names in self._names]
        for row in self._restored:
            place = [known.get(row[column]) for column, known in zip(self.by, places, strict=True)]
            if None not in place:
                self._counts[tuple(place)] += row["anchors"]

    def _none(self) -> NDArray[np.int64]:
        return np.zeros([len(names) for names in self._names], dtype=np.int64)

    def _total(self, trainer: Trainer, pl_module: LightningModule) -> NDArray[np.int64]:
        local = torch.from_numpy(self._counts).to(pl_module.device)
        total: NDArray[np.int64] = trainer.strategy.reduce(local, reduce_op="sum").cpu().numpy()
        return total

    def _frame(self, epoch: int, counts: NDArray[np.int64]) -> pd.DataFrame:
        places = np.nonzero(counts)
        names = {
            column: np.array(self._names[axis], dtype=object)[places[axis]]
            for axis, column in enumerate(self.by)
        }
        return pd.DataFrame({"epoch": epoch, **names, "anchors": counts[places]})


def _coded(column: pd.Series) -> tuple[NDArray[np.int64], list[str]]:
    """Return codes and the names they encode; a missing value is named ''."""
    values = column.astype("category").cat
    missing = len(values.categories)
    codes = values.codes.to_numpy().astype(np.int64)
    return np.where(codes < 0, missing, codes), [*map(str, values.categories), ""]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as plain values, which is all that a checkpoint may hold."""
    numbers = {"epoch", "anchors"}
    return [
        {str(name): int(value) if name in numbers else str(value) for name, value in row.items()}
        for row in table.to_dict("records")
    ]


def _write(table: pd.DataFrame, path: Path) -> None:
    """Write the table whole, or warn: a run is worth more than what is said about it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as beside:
            table.to_csv(beside, index=False)
    except OSError as error:
        warnings.warn(f"{str(path)!r} cannot be written, and training goes on: {error}", stacklevel=2)

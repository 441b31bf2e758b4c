"""What the batches that training consumed were made of."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, override

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray

FILE_NAME = "composition.csv"


class CompositionLog(Callback):
    """Count the anchors of every batch by experiment and condition, as they arrive at the model.

    Logged per step: ``train/experiments``, the number of experiments in the batch, and
    ``train/conditions``. At the end of each epoch the counts of all ranks are added up and written, for
    all epochs so far, to ``composition.csv`` in the trainer's log folder.

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

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start counting anew."""
        self._counts = np.zeros([len(names) for names in self._names], dtype=np.int64)

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Mapping[str, Any], batch_idx: int
    ) -> None:
        """Count a batch."""
        codes = self._codes[batch["rows"].cpu().numpy()]
        np.add.at(self._counts, tuple(codes.T), 1)
        for column, values in zip(self.by, codes.T, strict=True):
            pl_module.log(f"train/{column}s", float(len(np.unique(values))))

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add up the ranks and write the table."""
        local = torch.from_numpy(self._counts).to(pl_module.device)
        total: NDArray[np.int64] = trainer.strategy.reduce(local, reduce_op="sum").cpu().numpy()
        self._epochs.append(self._frame(trainer.current_epoch, total))
        folder = trainer.log_dir  # every rank asks: the answer is broadcast
        if trainer.is_global_zero and folder is not None:
            _write(self.table(), Path(folder) / FILE_NAME)

    def _frame(self, epoch: int, counts: NDArray[np.int64]) -> pd.DataFrame:
        places = np.nonzero(counts)
        names = {
            column: np.array(self._names[axis], dtype=object)[places[axis]]
            for axis, column in enumerate(self.by)
        }
        return pd.DataFrame({"epoch": epoch, **names, "anchors": counts[places]})


def _coded(column: pd.Series) -> tuple[NDArray[np.int64], list[str]]:
    """Return codes and the names they stand for; a missing value is named ''."""
    values = column.astype("category").cat
    missing = len(values.categories)
    codes = values.codes.to_numpy().astype(np.int64)
    return np.where(codes < 0, missing, codes), [*map(str, values.categories), ""]


def _write(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".partial")
    table.to_csv(beside, index=False)
    os.replace(beside, path)  # noqa: PTH105 the atomic rename that the project uses everywhere

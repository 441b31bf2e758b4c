"""What the callback counts, against counting by hand."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch

from viscy_train.callbacks import CompositionLog

ANCHORS = pd.DataFrame(
    {
        "experiment": pd.Categorical(["a", "a", "a", "b", "b"]),
        "condition": pd.Categorical(["x", "y", None, "x", "x"]),
    }
)


class Module(SimpleNamespace):
    """What the callback needs of a module."""

    device = torch.device("cpu")

    def log(self, name: str, value: float) -> None:
        self.logged.append((name, value))


def run(callback: CompositionLog, epochs: list[list[list[int]]], folder: Path, ranks: int = 1) -> Module:
    """Show the callback batches of rows, as a trainer of several equal ranks would."""
    module = Module(logged=[])
    trainer: Any = SimpleNamespace(
        datamodule=SimpleNamespace(dataset=SimpleNamespace(anchors=ANCHORS)),
        strategy=SimpleNamespace(reduce=lambda counts, **_: counts * ranks),
        is_global_zero=True,
        log_dir=str(folder),
        loggers=[object()],
    )
    given: Any = module
    trainer.current_epoch = 0
    callback.on_fit_start(trainer, given)
    for epoch, batches in enumerate(epochs):
        trainer.current_epoch = epoch
        callback.on_train_epoch_start(trainer, given)
        for number, rows in enumerate(batches):
            callback.on_train_batch_start(trainer, given, {"rows": torch.tensor(rows)}, number)
        callback.on_train_epoch_end(trainer, given)
    return module


def test_counts_every_epoch_and_names_what_is_missing(tmp_path: Path) -> None:
    callback = CompositionLog()
    run(callback, [[[0, 1, 2, 0], [3, 4]], [[4]]], tmp_path)
    expected = [(0, "a", "x", 2), (0, "a", "y", 1), (0, "a", "", 1), (0, "b", "x", 2), (1, "b", "x", 1)]
    assert list(callback.table().itertuples(index=False, name=None)) == expected
    written = pd.read_csv(tmp_path / "composition.csv", keep_default_na=False)
    assert list(written.itertuples(index=False, name=None)) == expected
    assert list(tmp_path.iterdir()) == [tmp_path / "composition.csv"]


def test_ranks_are_added_up(tmp_path: Path) -> None:
    callback = CompositionLog(["experiment"])
    run(callback, [[[0, 3]]], tmp_path, ranks=2)
    assert callback.table()["anchors"].tolist() == [2, 2]


def test_logs_how_many_each_batch_holds(tmp_path: Path) -> None:
    module = run(CompositionLog(), [[[0, 1, 2], [0, 3]]], tmp_path)
    expected = [("experiments", 1), ("conditions", 3), ("experiments", 2), ("conditions", 1)]
    assert module.logged == [(f"train/{name}", float(value)) for name, value in expected]


def test_before_any_epoch_the_table_is_empty() -> None:
    assert list(CompositionLog(["well"]).table()) == ["epoch", "well", "anchors"]


def test_nothing_to_count_by_is_refused() -> None:
    with pytest.raises(ValueError, match="name at least one column"):
        CompositionLog([])

"""The probe of validation cells during a run: it is the one of `evaluate`, and never ends a run."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from viscy_data import InvalidInputError
from viscy_train.callbacks import ValidationProbe
from viscy_train.callbacks import validation_probe as place
from viscy_train.evaluation.quick_probe import quick_probe
from viscy_train.fit import run_fit

SMALL = [
    "--data.batches.batch_size=8",
    "--data.split.fraction=0.4",
    "--data.patches.size=[40, 40]",
    "--model.crop=[32, 32]",
    "--trainer.limit_train_batches=2",
    "--trainer.limit_val_batches=1",
    "--trainer.max_steps=4",
    "--trainer.enable_progress_bar=false",
]


def fit(anchors: Path, folder: Path, *more: str) -> list[str]:
    """Return the values of the probe that a run logs."""
    run_fit(
        [
            "--config",
            "small",
            f"--data.anchors={anchors}",
            f"--trainer.logger.init_args.save_dir={folder}",
            *SMALL,
            *more,
        ]
    )
    with (folder / "small" / "version_0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [row["val/probe_condition"] for row in rows if row.get("val/probe_condition")]


def test_a_run_logs_the_auroc_of_its_validation_cells_and_says_so_once(
    anchors_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Any] = []

    def noted(embedding: Any, obs: Any, label: str) -> Any:
        seen.append((embedding, obs, label))
        return quick_probe(embedding, obs, label)

    monkeypatch.setattr(place, "quick_probe", noted)
    values = fit(anchors_path, tmp_path, "--probe.cells=60")

    assert len(values) == len(seen) == 2  # of two epochs
    assert [float(one) for one in values] == pytest.approx([quick_probe(*one).value for one in seen])
    said = capsys.readouterr().err
    assert said.count("val/probe_condition: AUROC of a probe of condition on 60 validation cells") == 1
    first, second = (obs for _, obs, _ in seen)
    assert first.equals(second)
    assert len(seen[0][0]) == len(first)
    assert not np.array_equal(seen[0][0], seen[1][0])  # of another state of the model


def test_without_labels_a_run_goes_to_its_end_and_says_why_there_is_no_probe(
    anchors_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(anchors_path, tmp_path, "--probe.label=drug") == []
    said = capsys.readouterr().err
    assert "trained: " in said
    assert said.count("val/probe_drug is not logged: ") == 1


def test_every_0_probes_never(monkeypatch: pytest.MonkeyPatch) -> None:
    callback = ValidationProbe(every=0)
    monkeypatch.setattr(callback, "_probe", lambda *_: pytest.fail("it was to be left out"))
    trainer: Any = SimpleNamespace(sanity_checking=False, is_global_zero=True)
    for _ in range(3):
        callback.on_validation_epoch_end(trainer, None)  # type: ignore[arg-type]  # not looked at


@pytest.mark.parametrize(
    ("given", "said"), [({"cells": 3}, "probe.cells=3"), ({"every": -1}, "probe.every=-1")]
)
def test_options_out_of_range_are_refused(given: dict[str, int], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        ValidationProbe(**given)  # type: ignore[arg-type]  # either is a number


def test_whatever_goes_wrong_is_said_once_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    callback, tried = ValidationProbe(every=2), []

    def failing(*_: object) -> None:
        tried.append(1)
        if len(tried) == 2:
            raise RuntimeError("the disk is gone")

    monkeypatch.setattr(callback, "_probe", failing)
    for sanity, first in ((True, True), (False, False), *[(False, True)] * 6):
        trainer: Any = SimpleNamespace(sanity_checking=sanity, is_global_zero=first)
        callback.on_validation_epoch_end(trainer, None)  # type: ignore[arg-type]  # not looked at
    assert len(tried) == 2
    assert capsys.readouterr().err.count("is not logged: the disk is gone") == 1

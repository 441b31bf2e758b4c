"""Where a run leaves its models; what they hold is tested where runs are."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from viscy_train.callbacks import SaveModel


@pytest.mark.parametrize(("logger", "expected"), [(None, "checkpoints"), ("csv", None)])
def test_without_a_logger_models_lie_with_the_checkpoints(
    logger: str | None, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viscy_train.callbacks.save_model.run_folder", lambda _: tmp_path)
    trainer: Any = SimpleNamespace(logger=logger, fast_dev_run=False)
    callback = SaveModel()
    callback.on_fit_start(trainer, None)  # type: ignore[arg-type]  # the module is not looked at
    assert callback._folder == (tmp_path / expected if expected else tmp_path)


def test_the_best_loss_is_kept_in_checkpoints() -> None:
    callback, later = SaveModel(), SaveModel()
    callback.best = 0.5
    later.load_state_dict(callback.state_dict())
    assert later.best == 0.5


def test_a_validation_without_a_number_is_not_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[float | None] = []
    monkeypatch.setattr(SaveModel, "_write", lambda self, *_: written.append(self.best))
    callback = SaveModel()
    for loss in (float("nan"), 0.5, float("nan"), 0.7, 0.4):
        metrics = {"val/loss": torch.tensor(loss)}
        trainer: Any = SimpleNamespace(sanity_checking=False, callback_metrics=metrics)
        callback.on_validation_end(trainer, None)  # type: ignore[arg-type]  # the module is not looked at
    assert written == pytest.approx([0.5, 0.4])

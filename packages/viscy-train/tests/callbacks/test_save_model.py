"""Where a run leaves its models; what they hold is tested where runs are."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

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

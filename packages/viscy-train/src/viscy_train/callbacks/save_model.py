"""``model.viscy`` and ``best.viscy``: what a run leaves for others.

A checkpoint holds optimiser and sampler, is three times as large, and is for going on. What somebody wants
who embeds is a model's file: that of the end, and that of the best validation, which of a long run is often
the better one. Both are written by the run itself, because nobody remembers afterwards. The best loss so far
is kept in the checkpoints, so that a run that goes on does not replace a better model.
"""

from math import isfinite
from pathlib import Path
from typing import Any, override

from lightning.pytorch import Callback, LightningModule, Trainer

from viscy_train.callbacks.save_last import FOLDER, run_folder
from viscy_train.models.packing import card_of
from viscy_train.packed import Card, write_model
from viscy_train.packed.trained_on import KEY

MODEL, BEST = "model.viscy", "best.viscy"

_MONITOR = "val/loss"


class SaveModel(Callback):
    """Write a model's file at the end, and one at the best validation.

    Attributes
    ----------
    path : Path or None
        Of the file of the end; None: none has been written.
    best : float or None
        The lowest validation loss so far.
    """

    def __init__(self) -> None:
        self.path: Path | None = None
        self.best: float | None = None
        self._folder: Path | None = None

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the run's folder, which all ranks agree on."""
        folder = run_folder(trainer)
        if trainer.logger is None:  # then that is any folder, and models of others may lie there
            folder /= FOLDER
        self._folder = None if trainer.fast_dev_run else folder  # type: ignore[attr-defined]  # a connector's

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the model, where it is the best so far."""
        loss = trainer.callback_metrics.get(_MONITOR)
        if trainer.sanity_checking or loss is None or not isfinite(loss):
            return
        if self.best is not None and float(loss) >= self.best:
            return
        self.best = float(loss)
        self._write(trainer, pl_module, BEST)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the model of the end."""
        self.path = self._write(trainer, pl_module, MODEL)

    @override
    def state_dict(self) -> dict[str, Any]:
        """Return the best loss so far."""
        return {"best": self.best}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back."""
        self.best = state_dict.get("best")

    def _write(self, trainer: Trainer, module: LightningModule, name: str) -> Path | None:
        if self._folder is None or not trainer.is_global_zero:
            return None
        card = _card(trainer, module)
        if card is None:
            return None
        self._folder.mkdir(parents=True, exist_ok=True)
        write_model(self._folder / name, card, module)
        return self._folder / name


def _card(trainer: Trainer, module: LightningModule) -> Card | None:
    """Return the card; None where the data are not ours, and nothing is known of them."""
    data = getattr(trainer, "datamodule", None)
    if data is None or KEY not in data.hparams:
        return None
    logged = {
        name.removeprefix("val/"): float(value)
        for name, value in trainer.callback_metrics.items()
        if name.startswith("val/")
    }
    return card_of(dict(module.hparams), dict(data.hparams), trainer.global_step, logged)

"""A callback of a user's own, as ``--trainer.callbacks`` takes it by the path of its class."""

from typing import Any, override

from lightning.pytorch import Callback, LightningModule, Trainer


class Counting(Callback):
    """Count the steps."""

    def __init__(self, first: int = 0) -> None:
        self.steps = first

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.steps += 1

"""How long each training step waits for its batch."""

from time import perf_counter
from typing import Any, override

from lightning.pytorch import Callback, LightningModule, Trainer


class DataWait(Callback):
    """Log ``train/data_wait``: seconds between the end of a step and the arrival of the next batch.

    Time spent in validation is not counted; transfer to the device is.

    Attributes
    ----------
    seconds, steps : float, int
        Total over the run, and the number of steps waited for.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.steps = 0
        self._since = perf_counter()

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._since = perf_counter()

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Read the clock and log."""
        wait = perf_counter() - self._since
        self.seconds += wait
        self.steps += 1
        pl_module.log("train/data_wait", wait)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock."""
        self._since = perf_counter()

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._since = perf_counter()

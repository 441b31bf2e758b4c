"""How long training steps wait for their batches, and how many patches a second come of it.

A GPU that waits for data looks busy in no other figure: the loss falls, only slowly. So the time between the
end of a step and the arrival of the next batch is measured on its own.
"""

from collections import deque
from time import perf_counter
from typing import Any, NamedTuple, override

from lightning.pytorch import Callback, LightningModule, Trainer

PATCHES = "train/patches_per_second"
FRACTION = "train/data_wait_fraction"


class _Step(NamedTuple):
    """Seconds waited for a batch, seconds of the step with it, and its patches."""

    wait: float
    work: float
    patches: int


class DataWait(Callback):
    """Log what reading costs training; see also ``viscy-data bench``.

    - ``train/data_wait``: seconds between the end of a step and the arrival of the next batch;
    - ``train/data_wait_fraction``: their share of the time, over the last steps. Near 0 the model is what
      takes time, near 1 the reading;
    - ``train/patches_per_second``: patches of both views, of all ranks, over the last steps.

    Time spent in validation is not counted; transfer to the device is. Where the device works on while
    the program goes on, a step's own time shows with the next step that has to wait for it, which the
    mean over several steps evens out.

    Parameters
    ----------
    window : int
        Steps that fraction and patches are taken over.

    Attributes
    ----------
    seconds, steps : float, int
        Total waited over the run, and the number of steps waited for.
    """

    def __init__(self, window: int = 50) -> None:
        self.seconds = 0.0
        self.steps = 0
        self._since = perf_counter()
        self._wait = 0.0
        self._last: deque[_Step] = deque(maxlen=window)

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._since = perf_counter()

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Read the clock and log what was waited."""
        now = perf_counter()
        self._wait, self._since = now - self._since, now
        self.seconds += self._wait
        self.steps += 1
        pl_module.log("train/data_wait", self._wait)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log what the last steps came to, and start the clock."""
        patches = (len(batch["anchor"]) + len(batch["positive"])) * trainer.world_size
        self._last.append(_Step(self._wait, perf_counter() - self._since, patches))
        waited = sum(step.wait for step in self._last)
        total = waited + sum(step.work for step in self._last)
        pl_module.log(FRACTION, waited / total, prog_bar=True)
        pl_module.log(PATCHES, sum(step.patches for step in self._last) / total, prog_bar=True)
        self._since = perf_counter()

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._since = perf_counter()

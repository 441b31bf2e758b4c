"""``last.ckpt`` is the last: what a run leaves behind, however it ends.

Lightning's ``ModelCheckpoint`` saves at the end of epochs, so that a run killed in its first leaves
nothing. `SaveLast` saves before the first step, every so many steps, before each validation, when asked
to stop and at the end, always at the end of a step, where going on gives the batches and losses of a run
that was not stopped. So a kill costs at most `steps` steps, and a polite signal none.
"""

from pathlib import Path
from typing import Any, override

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from viscy_data import InvalidInputError
from viscy_train.finite import NotFiniteError, all_finite
from viscy_train.models.checkpoint_file import copy_checkpoint
from viscy_train.saying import say
from viscy_train.stopping import Stopped, StopRequest

LAST = "last.ckpt"
FOLDER = "checkpoints"


class SaveLast(Checkpoint):
    """Keep ``last.ckpt`` at most so many steps old, and stop a run where it can be gone on with.

    Parameters
    ----------
    steps : int
        Save at least once in so many optimiser steps.

    Attributes
    ----------
    path : Path or None
        Of the checkpoint: in ``checkpoints`` of the logger's folder, or of ``default_root_dir`` without a
        logger. There from the start of training.
    step : int or None
        The optimiser step that the file holds; None: it has not been written yet.
    request : StopRequest
        What stops the run at the end of the step.
    """

    def __init__(self, steps: int = 50) -> None:
        super().__init__()
        if steps < 1:
            raise InvalidInputError(f"save.steps={steps}: a number of optimiser steps, at least 1")
        self.steps = steps
        self.path: Path | None = None
        self.step: int | None = None
        self.request = StopRequest()
        self._stop = 0

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose the place, and refuse one that holds another run's checkpoint."""
        folder = run_folder(trainer)
        if trainer.fast_dev_run:  # type: ignore[attr-defined]  # set by a connector
            return
        self.claim(folder, trainer.ckpt_path)
        if trainer.is_global_zero:
            often = "1 step" if self.steps == 1 else f"{self.steps} steps"
            say(f"checkpoint: {self.path}, at most {often} old")

    def claim(self, folder: Path, begun: str | Path | None) -> None:
        """Take the place in the run's folder.

        Raises
        ------
        InvalidInputError
            Another run's checkpoint is there, and not the one that this run goes on from.
        """
        self.path = folder / FOLDER / LAST
        if self.path.exists() and not (begun and self.path.samefile(begun)):
            raise InvalidInputError(
                f"{str(self.path)!r} is of an earlier run, and this one would write it, too: go on with it "
                "by the command that began it, or by --ckpt_path, or choose another folder by the logger's "
                "save_dir or --trainer.default_root_dir."
            )

    @override
    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals back, which the trainer has just taken."""
        self.request.take_signals()

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals back; show now, not in an hour, that the checkpoint can be written."""
        self.request.take_signals()
        if self.path is None:
            return
        begun = trainer.ckpt_path
        if begun is None:
            self.save(trainer)
        elif trainer.is_global_zero and not self.path.exists():
            copy_checkpoint(begun, self.path)
        self.step = trainer.global_step
        self.request.waits = True

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where it is due, or the run is to stop."""
        self._stop = self._agreed(trainer)
        # in the middle of accumulated gradients there is nothing to go on from
        if self.step == trainer.global_step or self.path is None:
            return
        due = trainer.global_step % self.steps == 0 or (self.step or 0) + self.steps <= trainer.global_step
        if due or self._stop or _validates_next(trainer, batch_idx):
            self.save(trainer)

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop before another step."""
        if self._stop and self.step == trainer.global_step:
            raise Stopped(self._stop)

    @override
    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop in the middle of a validation, before which was saved."""
        signum = self._agreed(trainer)
        if signum:
            raise Stopped(signum)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end, where no step has saved it."""
        if self.path is not None and self.step != trainer.global_step:
            self.save(trainer)
        self.request.waits = False

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Let the next signal end the program."""
        self.request.waits = False

    def save(self, trainer: Trainer) -> None:
        """Write ``last.ckpt``, on all ranks at once.

        Raises
        ------
        NotFiniteError
            Weights are not finite; the file before is kept.
        OutputError
            The file cannot be written; the one before is kept.
        """
        if self.path is None:
            return
        if not all_finite(trainer.lightning_module.state_dict().values()):
            raise NotFiniteError(
                f"step {trainer.global_step}: weights are infinite or not numbers; lower "
                "model.optimizer.learning_rate, or set trainer.gradient_clip_val."
            )
        trainer.save_checkpoint(self.path, weights_only=False)
        for logger in trainer.loggers:  # so that a kill leaves what was logged before
            logger.save()
        self.step = trainer.global_step

    def _agreed(self, trainer: Trainer) -> int:
        """Return the signal that any rank has received, so that all stop at the same step."""
        if trainer.world_size == 1:
            return self.request.signum
        asked = torch.tensor(self.request.signum, device=trainer.strategy.root_device)
        highest: torch.Tensor = trainer.strategy.reduce(asked, reduce_op="max")
        return int(highest)


def run_folder(trainer: Trainer) -> Path:
    """Return the folder of this run and of no other, the same on every rank."""
    logger = trainer.logger
    if logger is None or isinstance(logger, CSVLogger | TensorBoardLogger):
        folder = trainer.log_dir or trainer.default_root_dir
    else:  # the save_dir of all others is shared by their runs
        folder = str(Path(logger.save_dir or trainer.default_root_dir, str(logger.name), str(logger.version)))
    return Path(trainer.strategy.broadcast(folder))


def _validates_next(trainer: Trainer, batch_idx: int) -> bool:
    """Return whether a validation may follow this batch; saving once too often does no harm."""
    loop = trainer.fit_loop.epoch_loop
    if not trainer.enable_validation:
        return False
    every = trainer.val_check_batch
    within = isinstance(every, int) and (
        (batch_idx + 1) % every == 0 or loop.batch_progress.total.ready % every == 0
    )
    return bool(loop.batch_progress.is_last_batch or within)

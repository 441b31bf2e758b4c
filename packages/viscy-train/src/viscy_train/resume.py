"""Where training goes on: the batch that the trainer counts next is the batch that it gets.

A trainer counts the batches of an epoch itself and keeps the count in its checkpoints; its loaders draw
ahead and cannot tell what was trained on. So the place of every iterator is looked up when its first
batch is asked for: at batch 0 another epoch begins, at any other batch the epoch goes on in which the run
stopped. Epochs are counted here, because a run that ends by its number of steps, in the middle of an
epoch, counts that epoch as done in the trainer.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torch.utils.data import Sampler

from viscy_data import AnchorLoader, InvalidInputError
from viscy_train.parts import PartSampler


class TrainerBatches(Sampler[list[int]]):
    """Yield a part's batches from where its trainer is.

    Parameters
    ----------
    part : PartSampler
        What is sampled.
    trainer : lightning.pytorch.Trainer
        Who counts.
    """

    def __init__(self, part: PartSampler, trainer: Any) -> None:
        self._part = part
        self._loop = trainer.fit_loop
        self._ranks: int = trainer.world_size
        self._from = _Place(self._loop.epoch_progress.current.processed)
        self._begun = False

    def __iter__(self) -> Iterator[list[int]]:
        step = self._loop.epoch_loop.batch_progress.current.ready
        if step == 0 and (self._begun or self._from.step != 0):
            self._from = _Place(self._from.epoch + 1)
        self._begun = True
        self._part.go_to(self._from.epoch, self._position(step))
        yield from self._part

    def __len__(self) -> int:
        return len(self._part)

    def state_dict(self) -> dict[str, Any]:
        """Return the state after the last batch trained on; the same on every rank."""
        step = self._loop.epoch_loop.batch_progress.current.processed if self._begun else self._from.step
        place = {"epoch": self._from.epoch, "position": self._position(step), "step": step}
        place["ranks"] = self._ranks
        return self._part.state_dict() | place

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken, by a trainer or by the part itself.

        Raises
        ------
        InvalidInputError
            The state is of another part; or it is of the middle of an epoch and another number of ranks,
            which the trainer's own count of the epoch's batches does not allow.
        """
        self._part.load_state_dict(state)
        ranks = state.get("ranks", self._ranks)
        if ranks != self._ranks and 0 < state["position"] < self._part.sampler.batches_per_epoch:
            raise InvalidInputError(
                f"ranks={ranks} in the checkpoint, which is of the middle of an epoch, but {self._ranks} "
                "ranks here: the trainer cannot count the rest of the epoch. Give the same number of "
                "devices, or a checkpoint of the end of an epoch."
            )
        self._from = _Place(state["epoch"], state["position"], state.get("step", 0))
        self._begun = False

    def _position(self, step: int) -> int:
        return self._from.position + (step - self._from.step) * self._ranks


class TrainerLoader(AnchorLoader):
    """A loader of `TrainerBatches`: the trainer, which asks for a state, may know that it can go on.

    The state itself is the datamodule's, restored before any loader is built.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take nothing."""


class _Place(NamedTuple):
    """Where the epoch under way was taken up: its next global batch, after so many batches of a rank."""

    epoch: int
    position: int = 0
    step: int = 0

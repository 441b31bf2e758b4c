"""Whether the batches that training consumes are those that the plan asks for.

A sampler can be right and yet not be the one in use: a trainer may replace it, a loader may be built
without it. So the batches are measured where they arrive, by their rows.
"""

import warnings
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, override

import numpy as np
import pandas as pd
from lightning.pytorch import Callback, LightningModule, Trainer

from viscy_data import BatchGauge, BatchMeasure, CompositionWarning, FlexibleBatchSampler

if TYPE_CHECKING:
    from numpy.typing import NDArray


class PlanCheck(Callback):
    """Measure batches as they arrive at the model, log what they hold, and warn where they leave the plan.

    Logged: ``composition/groups``, groups in the batch; ``composition/leak``, the fraction of another
    group; ``composition/is_NAME``, the fraction of each stratum; ``composition/spread_hours``, standard
    deviation of the times; ``composition/focal_share``, the best fraction inside one focal window;
    ``composition/lineage_pairs``, pairs of one lineage; ``composition/deviations``, axes that leave the
    plan. An axis warns once, with a `CompositionWarning`.

    Parameters
    ----------
    every : int
        Measure every so many steps.
    sampler, anchors : FlexibleBatchSampler, DataFrame, optional
        What was to compose the batches, and the table that it and the positions of batches number; None:
        those of the trainer's `AnchorDataModule`.

    Attributes
    ----------
    deviating : Counter
        Batches measured that left the plan, by axis.
    measured : int
        Batches measured.
    """

    def __init__(
        self,
        every: int = 1,
        sampler: FlexibleBatchSampler | None = None,
        anchors: pd.DataFrame | None = None,
    ) -> None:
        if every < 1:
            raise ValueError(f"every={every!r}: it must be a number of steps, at least 1")
        if (sampler is None) != (anchors is None):
            raise ValueError("sampler and anchors: give both, or neither for those of the data module")
        self.every = every
        self.deviating: Counter[str] = Counter()
        self.measured = 0
        self._given = None if sampler is None or anchors is None else (sampler, anchors)
        self._gauge: BatchGauge | None = None
        self._position: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the plan, and which positions it composes of."""
        if self._given is not None:
            sampler, anchors = self._given
            self._position = np.arange(len(anchors))
        else:
            data: Any = trainer.datamodule  # type: ignore[attr-defined]  # Lightning leaves it undeclared
            positions, sampler = data.train_sampler.positions, data.train_sampler.sampler
            anchors = data.dataset.valid_anchors.iloc[positions]
            self._position = np.full(len(data.dataset.valid_anchors), -1)
            self._position[positions] = np.arange(len(positions))
        self._gauge = sampler.gauge(anchors)

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Mapping[str, Any], batch_idx: int
    ) -> None:
        """Measure a batch."""
        if self._gauge is None or batch_idx % self.every:
            return
        self.measured += 1
        position = self._position[batch["positions"].cpu().numpy()]
        if (position < 0).any():
            count = int((position < 0).sum())
            self._warn("split", f"{count} of {position.size} anchors are not of the training part")
            return
        found = self._gauge.measure(position)
        for axis, text in {one.axis: str(one) for one in found.deviations}.items():
            self._warn(axis, text)
        for name, value in _values(found, self._gauge.strata).items():
            pl_module.log(f"composition/{name}", value)

    def _warn(self, axis: str, text: str) -> None:
        self.deviating[axis] += 1
        if self.deviating[axis] > 1:
            return
        warnings.warn(
            f"Batch {self.measured} that training consumed leaves the plan: {text}. Is the loader's "
            "batch_sampler the one of the plan, and Trainer(use_distributed_sampler=False)? Later batches "
            "that leave this axis are counted only.",
            CompositionWarning,
            stacklevel=2,
        )


def _values(found: BatchMeasure, strata: tuple[Any, ...]) -> dict[str, float]:
    """Return what is logged of a batch; what the plan or the table does not have is left out."""
    values: dict[str, float | None] = {
        "groups": found.groups,
        "leak": found.leak,
        "spread_hours": found.spread_hours,
        "focal_share": found.focal_share,
        "lineage_pairs": found.lineage_pairs,
        "deviations": len({one.axis for one in found.deviations}),
    }
    if len(strata) > 1:
        values |= {
            f"is_{name}": float(share) for name, share in zip(strata, found.strata.tolist(), strict=True)
        }
    return {name: float(value) for name, value in values.items() if value is not None}

"""Whether the batches that training consumes are those of the plan.

A sampler can be right and yet not be the one in use: a trainer may replace it, a loader may be built
without it. So batches are compared where they arrive. Each says which one it is, by epoch and number, and
the sampler composes that one again: a batch is a function of these two alone, so nothing needs to be kept,
and ranks, accumulation and a run that goes on make no difference. It costs a few milliseconds a batch.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, override

import numpy as np
import pandas as pd
from lightning.pytorch import Callback, LightningModule, Trainer

from viscy_data import CompositionWarning, FlexibleBatchSampler

if TYPE_CHECKING:
    from numpy.typing import NDArray


class PlanCheck(Callback):
    """Compare batches as they arrive at the model with those of the plan; log what they hold.

    Logged: ``composition/deviations``, 1 where a batch is not the plan's, else 0; where the plan has such an
    axis, ``composition/groups``, groups in the batch, ``composition/leak``, the fraction that is not of the
    group of most, ``composition/is_NAME``, the fraction of each stratum, and ``composition/spread``, the
    standard deviation of the times. The first batch that is not the plan's warns, with a
    `CompositionWarning`.

    A batch is a mapping with ``positions``, ``epoch`` and ``number``, as `viscy_data.AnchorDataset` makes it
    of an `viscy_data.IndexBatch`. Anchors that the dataset had to replace because they could not be read are
    not held against the plan.

    Parameters
    ----------
    every : int
        Compare every so many steps.
    sampler, anchors : FlexibleBatchSampler, DataFrame, optional
        What was to compose the batches, and the table that it and the positions of batches number; None:
        those of the trainer's `AnchorDataModule`.

    Attributes
    ----------
    deviating : int
        Batches compared that were not the plan's.
    measured : int
        Batches compared.
    """

    def __init__(
        self,
        every: int = 1,
        sampler: FlexibleBatchSampler | None = None,
        anchors: pd.DataFrame | None = None,
    ) -> None:
        if every < 1:
            raise ValueError(f"every={every!r}: a number of steps from 1 on is allowed; give one")
        if (sampler is None) != (anchors is None):
            raise ValueError("sampler and anchors: give both, or neither for those of the data module")
        self.every = every
        self.deviating = 0
        self.measured = 0
        self._given = None if sampler is None or anchors is None else (sampler, anchors)
        self._sampler: Any = None  # ours, or that of a part of the anchors, which maps its batches
        self._is_known: NDArray[np.bool_] = np.empty(0, dtype=np.bool_)
        self._held = _Held()

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the sampler, and the columns of its plan."""
        if self._given is not None:
            sampler, anchors = self._given
            self._sampler, self._is_known = sampler, np.ones(len(anchors), dtype=np.bool_)
        else:
            data: Any = trainer.datamodule  # type: ignore[attr-defined]  # Lightning leaves it undeclared
            self._sampler, sampler = data.train_sampler, data.train_sampler.sampler
            anchors = data.dataset.valid_anchors
            self._is_known = np.zeros(len(anchors), dtype=np.bool_)
            self._is_known[data.train_sampler.positions] = True
        self._held = _Held.of(sampler, anchors)

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Mapping[str, Any], batch_idx: int
    ) -> None:
        """Compare a batch."""
        if self._sampler is None or batch_idx % self.every:
            return
        self.measured += 1
        position = batch["positions"].cpu().numpy()
        problem = self._problem(batch, position)
        if problem:
            self._count(problem)
        values = {"deviations": float(bool(problem)), **self._held.values(position)}
        for name, value in values.items():
            pl_module.log(f"composition/{name}", value)

    def _problem(self, batch: Mapping[str, Any], position: "NDArray[np.int64]") -> str:
        """Say in what a batch differs from the plan's; an empty text where it does not."""
        foreign = int((~self._is_known[position]).sum())
        if foreign:
            return f"{foreign} of {position.size} anchors are not of the training part"
        if "number" not in batch:
            return "it does not carry the epoch and number of a batch of the plan"
        epoch, number = int(batch["epoch"]), int(batch["number"])
        asked = np.asarray(self._sampler.batch(number, epoch=epoch))
        what = f"batch {number} of epoch {epoch}"
        if asked.size != position.size:
            return f"it holds {position.size} anchors, and {what} holds {asked.size}"
        others = int((asked != position).sum())
        if others > int(batch.get("replaced", 0)):
            return f"{others} of {position.size} anchors are not those of {what}"
        return ""

    def _count(self, problem: str) -> None:
        self.deviating += 1
        if self.deviating > 1:
            return
        warnings.warn(
            f"Batch {self.measured} that training consumed is not the plan's: {problem}. Is the loader's "
            "batch_sampler the one of the plan, and Trainer(use_distributed_sampler=False)? Later batches "
            "that differ are counted only.",
            CompositionWarning,
            stacklevel=3,
        )


class _Held:
    """What batches of anchors hold, from the columns of a plan.

    Parameters
    ----------
    group, stratum
        (N,) codes of the anchors; None where the plan does not have the axis.
    names
        Of the strata.
    time
        (N,) times of the anchors; None without a clock.
    """

    def __init__(
        self,
        group: "NDArray[np.int64] | None" = None,
        stratum: "NDArray[np.int64] | None" = None,
        names: Sequence[str] = (),
        time: "NDArray[np.float64] | None" = None,
    ) -> None:
        self._group, self._stratum, self._names, self._time = group, stratum, names, time

    @classmethod
    def of(cls, sampler: FlexibleBatchSampler, anchors: pd.DataFrame) -> "_Held":
        """Take the columns that all plans of a sampler use."""
        plan = sampler.plan_at(0, epoch=0)
        group = None if plan.grouping is None else _coded(anchors, plan.grouping.by)[0]
        stratum, names = (None, []) if plan.balance is None else _coded(anchors, plan.balance.by)
        time = None if plan.focus is None else anchors[plan.focus.by].to_numpy(np.float64, na_value=np.nan)
        return cls(group, stratum, names, time)

    def values(self, position: "NDArray[np.int64]") -> dict[str, float]:
        """Return what is logged of a batch of positions (B,), by name."""
        found: dict[str, float] = {}
        if self._group is not None:
            counts = np.unique(self._group[position], return_counts=True)[1]
            found |= {"groups": float(counts.size), "leak": float(1 - counts.max() / position.size)}
        if self._stratum is not None and len(self._names) > 1:
            shares = np.bincount(self._stratum[position], minlength=len(self._names)) / position.size
            found |= {f"is_{name}": float(share) for name, share in zip(self._names, shares, strict=False)}
        if self._time is not None:
            found["spread"] = float(self._time[position].std())
        return found


def _coded(anchors: pd.DataFrame, by: str | Sequence[str]) -> "tuple[NDArray[np.int64], list[str]]":
    """Return a code (N,) of the values of columns, the last where one is missing, and their names."""
    columns = [by] if isinstance(by, str) else list(by)
    groups = anchors.groupby(columns, observed=True)
    code = groups.ngroup().to_numpy(np.int64)
    names = [", ".join(map(str, key)) for key in groups.size().index.to_frame().to_numpy().tolist()]
    return np.where(code < 0, len(names), code), names

"""Batches whose anchors come from few frames, in a plan's groups: what sharing frames brings to reading.

A *frame* is one (experiment, fov, t). Of every batch of the plan the first frames are taken, and each anchor
that lies in none of them is exchanged for one that does. Conditions and focal shares are not kept: these
batches are for measuring, not for training.
"""

from collections.abc import Iterator
from itertools import count

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.columns import EXPERIMENT, FOV, T
from viscy_data.composition.batch import IndexBatch
from viscy_data.sampler import FlexibleBatchSampler

type IntArray = NDArray[np.int64]


def frame_numbers(anchors: pd.DataFrame) -> IntArray:
    """Return which frame each row is of, as numbers from 0."""
    keys = [anchors[name].astype("category").cat.codes.to_numpy(np.int64) for name in (EXPERIMENT, FOV)]
    times = anchors[T].to_numpy(np.int64)
    code = (keys[0] * (keys[1].max() + 1) + keys[1]) * (times.max() + 1) + times
    return np.unique(code, return_inverse=True)[1].astype(np.int64)


def plan_batches(sampler: FlexibleBatchSampler, epoch: int) -> Iterator[IndexBatch]:
    """Yield the plan's batches without end, from the begin of an epoch."""
    for e in count(epoch):
        for number in range(sampler.batches_per_epoch):
            yield sampler.batch(number, epoch=e)


def few_frames(
    batches: Iterator[IndexBatch], frame_of: IntArray, frames: int, hold: int = 1
) -> Iterator[IndexBatch]:
    """Yield batches of at most ``frames`` frames, each of which stays for ``hold`` batches.

    Parameters
    ----------
    batches
        Of the plan.
    frame_of
        (N,) frame of each row.
    frames, hold
        With ``hold``, a part of the frames is replaced with every batch.
    """
    order = np.argsort(frame_of, kind="stable")
    starts = np.searchsorted(frame_of[order], np.arange(frame_of.max() + 2))
    held: list[int] = []
    fresh = max(1, frames // hold)
    for batch in batches:
        own = frame_of[np.asarray(batch)]
        new = [one for one in dict.fromkeys(own.tolist()) if one not in held]
        held = [*held, *new[: max(fresh, frames - len(held))]][-frames:]
        rng = np.random.default_rng([batch.epoch, batch.number])
        chosen = np.asarray(held)[rng.integers(len(held), size=len(batch))]
        sizes = starts[chosen + 1] - starts[chosen]
        rows = order[starts[chosen] + rng.integers(sizes)]
        kept = np.where(np.isin(own, held), np.asarray(batch), rows)
        yield IndexBatch(kept.tolist(), epoch=batch.epoch, number=batch.number)

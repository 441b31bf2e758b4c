"""Batches of a plan without end, and which frame, one (experiment, fov, t), each row is of."""

from collections.abc import Iterator
from itertools import count

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.columns import EXPERIMENT, FOV, T
from viscy_data.sampling.batch import IndexBatch
from viscy_data.sampling.sampler import FlexibleBatchSampler
from viscy_data.tables.codes import codes_of

type IntArray = NDArray[np.int64]


def frame_numbers(anchors: pd.DataFrame) -> IntArray:
    """Return which frame each row is of, as numbers from 0."""
    keys = [codes_of(anchors[name])[0] for name in (EXPERIMENT, FOV)]
    times = anchors[T].to_numpy(np.int64)
    code = (keys[0] * (keys[1].max() + 1) + keys[1]) * (times.max() + 1) + times
    return np.unique(code, return_inverse=True)[1].astype(np.int64)


def plan_batches(sampler: FlexibleBatchSampler, epoch: int) -> Iterator[IndexBatch]:
    """Yield the plan's batches without end, from the begin of an epoch."""
    for e in count(epoch):
        for number in range(sampler.batches_per_epoch):
            yield sampler.batch(number, epoch=e)

"""Which anchors a batch takes: a table of cells, and plans that draw from few frames or from all."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reads.stores import Size, fov_names
from viscy_data import BatchPlan, FlexibleBatchSampler, Locality

type Rows = NDArray[np.int64]


def make_table(size: Size) -> pd.DataFrame:
    """Return an anchors table: `size.cells` tracks in every frame of every fov, away from the rims."""
    rng = np.random.default_rng(1)
    frames, (height, width) = size.shape[0], size.patch
    fov, t, track = (axis.ravel() for axis in np.indices((size.fovs, frames, size.cells)))
    tall, wide = size.shape[-2:]
    return pd.DataFrame(
        {
            "experiment": "bench",
            "condition": "none",
            "fov": np.array(fov_names(size))[fov],
            "track_id": track,
            "parent_track_id": -1,
            "t": t,
            "z": size.depth // 2,
            "y_crop": rng.integers(height // 2, tall - height // 2 + 1, len(fov)),
            "x_crop": rng.integers(width // 2, wide - width // 2 + 1, len(fov)),
        }
    )


def random_plan(anchors: pd.DataFrame, pairs: int, batches: int, seed: int) -> list[Rows]:
    """Return batches of rows drawn from all anchors."""
    rng = np.random.default_rng(seed)
    return [rng.choice(len(anchors), pairs, replace=False) for _ in range(batches)]


def frames_plan(
    anchors: pd.DataFrame, pairs: int, batches: int, seed: int, *, frames: int = 8, hold: int = 1
) -> list[Rows]:
    """Return batches of rows of at most `frames` frames, each held for `hold` batches, from the sampler."""
    plan = BatchPlan(pairs, locality=Locality(frames=frames, hold=hold))
    sampler = FlexibleBatchSampler.from_plan(anchors, plan, seed=seed)
    return [np.asarray(sampler.batch(number, epoch=0)) for number in range(batches)]

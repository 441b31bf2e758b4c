"""Which anchors a batch takes: a table of cells, and plans that draw from few frames or from all.

`frames_plan` stands in for a sampler: the same anchors would come from one that restricts a batch to K
frames, and keeps each for several batches.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reads.stores import Size, fov_names

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
    """Return batches of rows of `frames` frames each; every frame stays for `hold` batches, staggered."""
    rng = np.random.default_rng(seed)
    of_frame = list(anchors.groupby(["fov", "t"], sort=True).indices.values())
    turns = np.concatenate([rng.permutation(len(of_frame)) for _ in range(frames * batches)])
    held, plan, used = list(turns[:frames]), [], frames
    for number in range(batches):
        if number:
            fresh = [place for place in range(frames) if (number + place) % hold == 0]
            for place in fresh:
                held[place] = turns[used]
                used += 1
        rows = [
            rng.choice(of_frame[frame], share, replace=share > len(of_frame[frame]))
            for frame, share in zip(held, _shares(pairs, frames), strict=True)
        ]
        plan.append(np.concatenate(rows))
    return plan


def _shares(pairs: int, frames: int) -> list[int]:
    return [pairs // frames + (place < pairs % frames) for place in range(frames)]

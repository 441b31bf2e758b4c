"""Cells of one frame that share a patch: they are counted, because no model can tell them apart.

Two cells whose centres round to the same pixel have one patch between them. That happens where cells touch or
lie on top of each other; where both are at exactly the same place, as when two tracks follow one cell, it is
probably a fault of tracking. With ``border="shift"`` cells in a corner may be moved to one place, too. Cells
in different slices have different patches.

Cost: one sort of a word for each row.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.columns import FOV, OUTSIDE, TRACK_ID, X_CROP, Y_CROP, T, X, Y, Z
from viscy_data.packing import pack

type IntArray = NDArray[np.int64]

_BITS: Final = (1 << 16) - 1


def shared_patches(frame: pd.DataFrame) -> tuple[IntArray, IntArray]:
    """Return which rows of one experiment's anchors share their patch with another one of their frame.

    Returns
    -------
    rows
        (N,) ascending.
    patch
        (N,) a number of the patch of each, the same for those that share one.
    """
    nothing = np.empty(0, dtype=np.int64)
    if len(frame) == 0:
        return nothing, nothing
    fov = frame[FOV].cat.codes.to_numpy()
    keys = pack([fov, *(frame[name].to_numpy() for name in (T, Z, Y_CROP, X_CROP))])
    ordered = np.sort(keys)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated) == 0:
        return nothing, nothing
    # Those whose last bits are of one that is repeated: few, found without a second sort of all.
    likely = np.zeros(_BITS + 1, dtype=np.bool_)
    likely[repeated & _BITS] = True
    rows = np.flatnonzero(likely[keys & _BITS])
    rows = rows[np.isin(keys[rows], repeated)]
    return rows, keys[rows]


def coincidences(frame: pd.DataFrame, *, shifted: bool) -> Iterator[str]:
    """Yield what there is to say of cells that share a patch, one sentence for each reason.

    Parameters
    ----------
    frame
        The anchors of one experiment.
    shifted
        Whether patches were moved inside their images.
    """
    rows, patch = shared_patches(frame)
    if len(rows) == 0:
        return
    y, x, outside = (frame[name].to_numpy()[rows] for name in (Y, X, OUTSIDE))
    same = _repeated(np.column_stack([patch, y.view(np.int32), x.view(np.int32)]))
    moved = ~same & (outside > 0) & shifted
    for chosen, why in (
        (same, "are at exactly the place of another cell of their frame, probably a fault of tracking"),
        (moved, "share their patch with another cell of their frame, as border='shift' moved them together"),
        (~same & ~moved, "share their patch with another cell of their frame, less than a pixel away"),
    ):
        if chosen.any():
            fov, t, track = (frame[name].iloc[rows[chosen.argmax()]] for name in (FOV, T, TRACK_ID))
            yield f"{chosen.sum()} of {len(frame)} cells {why}; the first: fov {fov}, t {t}, track {track}"


def _repeated(values: IntArray) -> NDArray[np.bool_]:
    """Say which rows (N, K) are there more than once."""
    _, number, count = np.unique(values, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(count[number.ravel()] > 1)

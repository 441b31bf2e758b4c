"""Cells of one frame that share a patch: they are counted, because no model can tell them apart.

Two cells whose centres round to the same pixel have one patch between them. Where they touch or lie over
each other that is so; where both are at exactly the same place, a cell that two tracks follow for example,
it is probably a fault of tracking. With ``border="shift"`` cells in a corner are moved to one place besides.
Cells in different slices are different patches.

Cost: one sort of a word for each row.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from viscy_data.columns import FOV, OUTSIDE, TRACK_ID, X_CROP, Y_CROP, T, X, Y, Z
from viscy_data.packing import pack


def shared_patches(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one experiment's anchors that share their patch with another one of their frame."""
    if len(frame) == 0:
        return frame
    places = [frame[name].to_numpy() for name in (T, Z, Y_CROP, X_CROP)]
    keys = pack([frame[FOV].cat.codes.to_numpy(np.int64), *places])
    ordered = np.sort(keys)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated) == 0:
        return frame.iloc[:0]
    return frame[pd.Series(keys, index=frame.index).isin(repeated)]


def coincidences(frame: pd.DataFrame, *, shifted: bool) -> Iterator[str]:
    """Yield what there is to say of cells that share a patch, one sentence for each reason.

    Parameters
    ----------
    frame
        The anchors of one experiment.
    shifted
        Whether patches were moved inside their images.
    """
    shared = shared_patches(frame)
    same = shared.duplicated([FOV, T, Z, Y, X], keep=False)
    moved = ~same & (shared[OUTSIDE] > 0) if shifted else same & False
    for rows, why in (
        (same, "are at exactly the place of another cell of their frame, probably a fault of tracking"),
        (moved, "share their patch with another cell of their frame, as border='shift' moved them together"),
        (~same & ~moved, "share their patch with another cell of their frame, less than a pixel away"),
    ):
        if rows.any():
            first = shared[rows].iloc[0]
            yield (
                f"{rows.sum()} of {len(frame)} cells {why}; the first: fov {first[FOV]}, t {first[T]}, track "
                f"{first[TRACK_ID]}"
            )

"""Which detections are not in the anchors table, and why: each is counted under one reason.

A table that lacks half of its cells looks like any other. A condition whose wells are misspelt, or places in
micrometres that are taken for pixels, would be noticed after a model is trained, if at all. So no row is lost
without being counted. Several reasons may hold for one detection, and who adds up the counts wants it once;
so reasons have an order, and the first that holds counts.

Therefore rows and counts add up to the detections in the fields of view that are not excluded. Counts are
kept by condition, since a condition that loses more than another changes what a model sees; and each reason
has a remedy, for the error where no row is left.

Cost: a mask of all rows for each reason, and one byte for each row.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.columns import X, Y, Z
from viscy_data.tables.anchors.repeated_values import each_row
from viscy_data.tables.crops import is_inside
from viscy_data.tables.experiment import Experiment
from viscy_data.tables.lineage import BoolArray, IntArray

OUTSIDE_IMAGE: Final = "centre outside the image"
OUTSIDE_STACK: Final = "z outside the stack"
NO_CONDITION: Final = "well under no condition"
OVER_BORDER: Final = "patch reaches over the border"
BLANK_FRAME: Final = "blank frame"
REASONS: Final = (NO_CONDITION, OUTSIDE_IMAGE, OUTSIDE_STACK, OVER_BORDER, BLANK_FRAME)
"""Why a detection is not in the table; the first that holds counts."""
REMEDIES: Final = {
    NO_CONDITION: "check condition_wells, which must name the wells of the tracks",
    OUTSIDE_IMAGE: "check the size and the unit of y and x, which must lie on the image",
    OUTSIDE_STACK: "check the unit of z, which must lie in the stack",
    OVER_BORDER: "take border='reflect', or a smaller patch",
    BLANK_FRAME: "where one channel is blank throughout, leave it out of channels; else blank_frames='keep'",
}
"""What to do where most detections are lost for a reason."""


def lost_by_reason(
    experiment: Experiment,
    tracks: pd.DataFrame,
    fov: IntArray,
    shapes: IntArray,
    conditions: Sequence[str | None],
) -> dict[str, BoolArray]:
    """Return which rows (N,) are lost, for each reason that their places and their wells show."""
    depth, height, width = (each_row(shapes[:, axis], fov) for axis in (2, 3, 4))
    y, x, z = (tracks[name].to_numpy() for name in (Y, X, Z))
    lost = {
        OUTSIDE_IMAGE: ~(is_inside(y, height) & is_inside(x, width)),
        OUTSIDE_STACK: ~(is_inside(z, depth) | np.isnan(z)),
    }
    if experiment.condition_wells is not None:
        lost[NO_CONDITION] = np.array([c is None for c in conditions])[fov]
    return lost


def in_blank_frames(
    blank: Sequence[tuple[str, int]], names: Sequence[str], fov: IntArray, t: IntArray
) -> BoolArray:
    """Return whether the frame of each row (N,), by number of its fov and time, is one of ``blank``."""
    number = {name: i for i, name in enumerate(names)}
    known = np.array([(number[name], frame) for name, frame in blank if name in number]).reshape(-1, 2)
    frames = np.int64(max(known[:, 1].max(initial=0), t.max(initial=0)) + 1)
    return np.isin(fov * frames + t, known[:, 0] * frames + known[:, 1])


def first_reasons(lost: Mapping[str, BoolArray], rows: int) -> NDArray[np.int8]:
    """Return the index into ``REASONS`` of each row (N,) that is lost, else -1.

    Examples
    --------
    >>> lost = {OVER_BORDER: np.array([True, True, False]), OUTSIDE_IMAGE: np.array([False, True, False])}
    >>> first_reasons(lost, 3).tolist()
    [3, 1, -1]
    """
    reason = np.full(rows, -1, dtype=np.int8)
    for i in reversed(range(len(REASONS))):
        if REASONS[i] in lost:
            reason[lost[REASONS[i]]] = i
    return reason


def count_lost(
    conditions: Sequence[str | None], fov: IntArray, reason: NDArray[np.int8]
) -> dict[str | None, dict[str, int]]:
    """Count the rows (N,) that are lost, by the condition of their fov and by reason.

    Examples
    --------
    >>> count_lost(["mock", None], fov=np.array([0, 0, 1]), reason=np.array([-1, 1, 0], dtype=np.int8))
    {'mock': {'centre outside the image': 1}, None: {'well under no condition': 1}}
    """
    dropped: dict[str | None, dict[str, int]] = {}
    lost = np.flatnonzero(reason >= 0)
    pairs, counts = np.unique(fov[lost] * len(REASONS) + reason[lost], return_counts=True)
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        i, why = divmod(pair, len(REASONS))
        by_reason = dropped.setdefault(conditions[i], {})
        by_reason[REASONS[why]] = by_reason.get(REASONS[why], 0) + count
    return dropped


def total_by_reason(dropped: Mapping[str | None, Mapping[str, int]]) -> dict[str, int]:
    """Add up the losses of all conditions."""
    totals = dict.fromkeys(REASONS, 0)
    for counts in dropped.values():
        for reason, count in counts.items():
            totals[reason] += count
    return {reason: count for reason, count in totals.items() if count}

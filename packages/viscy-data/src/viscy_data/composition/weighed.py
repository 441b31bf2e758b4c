"""Weights of anchors, summed up along the layout, so that a weight finds its anchor by binary search.

Weights are turned into whole numbers whose sum is just below 2**61: sums are exact, and the same on
every machine. Kept: 8 bytes per anchor.
"""

from dataclasses import replace
from itertools import pairwise
from math import frexp

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.layout import AnchorLayout
from viscy_data.composition.purpose import Purpose

Integers = NDArray[np.int64]

_BITS = 61
_AT_ONCE = 1 << 20


def weigh(layout: AnchorLayout, weight: NDArray[np.float64]) -> AnchorLayout:
    """Return the layout with weights summed up; a cell that has no order by time is shuffled first.

    Neighbours along a cell's weights do not meet in batches as others do (`systematic`), so that the
    order must have nothing to do with where and when cells were seen.

    Parameters
    ----------
    layout
        The anchors, sorted.
    weight
        (N,) finite numbers above 0, one per row of the table.
    """
    rows = layout.rows
    if layout.run_time is None:
        rows = rows.copy()
        for cell, (low, high) in enumerate(pairwise(layout.start.tolist())):
            _shuffle(rows[low:high], keyed.words(Purpose.LINE, cell))
    total = np.empty(len(layout) + 1, dtype=np.int64)
    total[0] = 0
    shift = _BITS - frexp(float(weight.sum()))[1]
    for low in range(0, len(layout), _AT_ONCE):
        part = np.ldexp(weight[rows[low : low + _AT_ONCE]], shift)
        total[low + 1 : low + 1 + part.size] = np.maximum(np.rint(part), 1)
    np.cumsum(total, out=total)
    return replace(layout, rows=rows, weight_sum=total, weight_unit=2.0**-shift)


def weight_range(layout: AnchorLayout) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (strata, groups) the least and the largest weight of each cell, over the cell's mean."""
    held, first = np.diff(layout.start) > 0, layout.start[:-1]
    weight, total = np.diff(layout.need_weights()), np.diff(layout.need_weights()[layout.start])
    found = np.zeros((2, held.size))
    for nth, extreme in enumerate((np.minimum, np.maximum)):
        found[nth, held] = extreme.reduceat(weight, first[held])
    found[:, held] *= (np.diff(layout.start) / np.maximum(total, 1))[held]
    least, most = found.reshape(2, *layout.size.shape)
    return least, most


def _shuffle(rows: NDArray[np.uint32], key: keyed.Words) -> None:
    before = rows.copy()
    for low in range(0, rows.size, _AT_ONCE):
        place = np.arange(low, min(low + _AT_ONCE, rows.size))
        rows[place] = before[keyed.permute(place, rows.size, key)]

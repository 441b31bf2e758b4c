"""Whether cells and focal windows hold enough different values for what steps take of them."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.layout import AnchorLayout

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


def values_by_cell(layout: AnchorLayout) -> Integers:
    """Return (cells,) how many different values each cell holds; one sort per cell."""
    code = layout.need_values().code
    return np.array([np.unique(code[low:high]).size for low, high in pairwise(layout.start.tolist())])


def values_by_window(layout: AnchorLayout, cell: int, times: Floats, reach: float) -> Integers:
    """Return (times,) how many different values of a cell lie within ``reach`` hours of each time.

    A value is in the windows around all times that are near one of its anchors: these are intervals,
    and of overlapping ones only the union counts. Cost: one sort of the cell.
    """
    low, high = layout.start[cell], layout.start[cell + 1]
    code = layout.need_values().code[low:high]
    hours = layout.time_of(np.arange(low, high))
    order = np.lexsort((hours, code))
    code, hours = code[order], hours[order]
    apart = (code[1:] != code[:-1]) | (hours[1:] - hours[:-1] > 2 * reach)
    begins = np.sort(hours[np.concatenate([[high > low], apart])] - reach)
    ends = np.sort(hours[np.concatenate([apart, [high > low]])] + reach)
    found: Integers = np.searchsorted(begins, times, side="right") - np.searchsorted(ends, times)
    return found

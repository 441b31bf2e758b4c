"""A layout whose cells are sorted by frame, so that the anchors of a frame stand together."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.layout import AnchorLayout, Frames
from viscy_data.composition.purpose import Purpose

Integers = NDArray[np.int64]


def sort_by_frames(layout: AnchorLayout, code: NDArray[Any]) -> AnchorLayout:
    """Return the layout with its frames.

    Cells that are sorted by time stay so, with their frames in no particular order at any time. Other
    cells have their largest frames first: batches take frames from all along a cell, so that what they
    hold together varies little.

    Parameters
    ----------
    layout
        The anchors, sorted.
    code
        (N,) integers that tell frames apart, by row of the table.

    Notes
    -----
    Cost: one sort per cell. Kept: 8 bytes per frame.
    """
    rows = layout.rows.copy()
    starts, cell_frame = [], [0]
    for low, high in pairwise(layout.start.tolist()):
        mine = code[rows[low:high]].astype(np.int64)
        _, frame, size = np.unique(mine, return_inverse=True, return_counts=True)
        shuffled = keyed.permute(np.arange(size.size), max(size.size, 1), keyed.words(Purpose.FRAME))
        first = (_time(layout, low, high),) if layout.run_time is not None else (-size[frame],)
        order = np.lexsort((rows[low:high], shuffled[frame], *first))
        rows[low:high] = rows[low:high][order]
        frame = frame[order]
        begins = np.flatnonzero(np.append(True, frame[1:] != frame[:-1])[: frame.size])
        starts.append(begins + low)
        cell_frame.append(cell_frame[-1] + begins.size)
    frames = Frames(np.concatenate([*starts, [len(layout)]]), np.array(cell_frame))
    return replace(layout, rows=rows, frames=frames)


def _time(layout: AnchorLayout, low: int, high: int) -> Integers:
    """Return the number of the run of each place of a cell."""
    assert layout.run_start is not None
    return np.searchsorted(layout.run_start, np.arange(low, high), side="right")

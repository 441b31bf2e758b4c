"""Which cells are alike: the nearest of other experiments, and of the own one outside the lineage.

A cell is most like itself a frame later, and the six nearest cells elsewhere are often one cell in six
frames. Neither tells anything. So neighbours are of other lineages, and of each track only the nearest frame
counts.
Nearest is in the whole embedding, by cosine distance, not on the map.

Cost: N x N products, a block of 1,024 rows at a time; about a minute of one core for 50,000 cells.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from viscy_data import columns
from viscy_train.evaluation.arrays import FloatArray, IntArray
from viscy_train.evaluation.cells import codes_of, paired
from viscy_train.evaluation.neighbours import NONE, nearest
from viscy_train.view.cells import Viewed

COUNT: Final = 6
_CANDIDATES: Final = 8
"""Frames looked at for each neighbour that is wanted."""


@dataclass(frozen=True)
class Neighbours:
    """Rows (N, `COUNT`) of the nearest cells, nearest first, `NONE` where there are fewer."""

    elsewhere: IntArray
    own: IntArray


def steps(cells: Viewed) -> int:
    """Return how many rows `find_neighbours` goes through."""
    return 2 * len(cells)


def find_neighbours(cells: Viewed, *, advance: Callable[[int], None] = lambda _: None) -> Neighbours:
    """Find the neighbours of all cells."""
    experiment, marker, track = cells.experiment, cells.marker, cells.track
    lineage = codes_of(cells.obs[columns.LINEAGE_ID])
    wanted = COUNT * _CANDIDATES
    elsewhere = nearest(cells.unit, wanted, own=experiment, pool=marker, advance=advance)
    own = nearest(cells.unit, wanted, own=lineage, pool=paired(experiment, marker), advance=advance)
    return Neighbours(one_of_each(elsewhere, track), one_of_each(own, track))


def one_of_each(rows: IntArray, track: IntArray, count: int = COUNT) -> IntArray:
    """Keep the first `count` rows of different tracks in each line of (N, K); `NONE` where there are fewer.

    Examples
    --------
    >>> one_of_each(np.array([[4, 2, 0]]), np.array([7, 7, 8, 8, 8]), 2)
    array([[4, 0]])
    """
    known = rows >= 0
    codes = np.where(known, track[rows], -1)
    first = known.copy()
    for place in range(1, rows.shape[1]):
        first[:, place] &= (codes[:, :place] != codes[:, place, None]).all(axis=1)
    order = np.argsort(~first, axis=1, kind="stable")[:, :count]  # those kept come first, in their order
    kept = np.where(np.take_along_axis(first, order, axis=1), np.take_along_axis(rows, order, axis=1), NONE)
    found = np.full((len(rows), count), NONE, dtype=np.int64)
    found[:, : kept.shape[1]] = kept
    return found


def similarity(unit: FloatArray, rows: IntArray) -> FloatArray:
    """Return the cosine similarity of each row with those that it names (N, K), -inf where it names none."""
    found = np.full(rows.shape, -np.inf)
    for place in range(rows.shape[1]):
        found[:, place] = np.einsum("nd,nd->n", unit, unit[rows[:, place]])
    return np.where(rows >= 0, found, -np.inf)

"""Nearest neighbours among the cells that a question allows.

Two arrays of codes state the question: a neighbour is of the same *pool* as the cell and not of the same
*own* group. Distances are cosine distances (`arrays.unit_rows`), computed block by block, so memory stays
at `BLOCK` x N.
"""

from collections.abc import Callable

import numpy as np

from viscy_train.evaluation.arrays import FloatArray, IntArray

BLOCK = 1024
NEIGHBOURS = 15
"""Neighbours of a cell that mixing looks at and that vote on its experiment."""

NONE = -1
"""In place of a neighbour that does not exist: fewer than k cells are allowed."""


def nearest(
    unit: FloatArray,
    k: int,
    *,
    own: IntArray,
    pool: IntArray,
    rows: IntArray | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> IntArray:
    """Return the k nearest allowed rows of each row, (N, k), `NONE` where there are fewer.

    Parameters
    ----------
    unit : ndarray (N, D)
        Rows of length one.
    k : int
    own, pool : ndarray (N,)
        Codes; a neighbour has the row's pool code and another own code.
    rows : ndarray, optional
        The rows that are asked for; others get `NONE`.
    advance : callable
        Told how many more rows are done.

    Examples
    --------
    >>> unit = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> nearest(unit, 1, own=np.array([0, 0, 1]), pool=np.zeros(3, dtype=np.int64)).ravel()
    array([2, 2, 0])
    """
    found = np.full((unit.shape[0], k), NONE, dtype=np.int64)
    for code in np.unique(pool):
        members = np.flatnonzero(pool == code)
        asked = members if rows is None else members[np.isin(members, rows)]
        for start in range(0, asked.size, BLOCK):
            block = asked[start : start + BLOCK]
            found[block] = _nearest_of_block(unit, k, block, members, own)
            advance(block.size)
    return found


def _nearest_of_block(
    unit: FloatArray, k: int, block: IntArray, members: IntArray, own: IntArray
) -> IntArray:
    similarity = unit[block] @ unit[members].T
    similarity[own[block][:, None] == own[members][None, :]] = -np.inf
    if k == 1:
        places = similarity.argmax(axis=1)
        exists = np.isfinite(similarity[np.arange(block.size), places])
        return np.where(exists, members[places], NONE)[:, None]
    kept = min(k, members.size)
    places = np.argpartition(-similarity, kept - 1, axis=1)[:, :kept]
    near = np.take_along_axis(similarity, places, axis=1)
    order = np.argsort(-near, axis=1, kind="stable")
    places = np.take_along_axis(places, order, axis=1)
    exists = np.isfinite(np.take_along_axis(near, order, axis=1))
    result = np.full((block.size, k), NONE, dtype=np.int64)
    result[:, :kept] = np.where(exists, members[places], NONE)
    return result

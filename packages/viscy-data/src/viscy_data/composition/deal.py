"""The anchors of each step, dealt out to its batches.

A step of several batches is drawn as a whole, so that nothing comes twice in it. Its anchors are ordered by
(own or leaked, stratum), near before far; each batch takes its counts of each, one after the other. A step of
one batch is that batch.
"""

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.ranges import expand

Integers = NDArray[np.int64]


def deal(place: Integers, step: Integers, counts: Integers, asked: Integers) -> tuple[Integers, Integers]:
    """Return the places of the batches asked for, one after the other, and each batch's size.

    Parameters
    ----------
    place
        (anchors,) drawn, by (step, own | leaked, stratum, near | far).
    step
        (batches,) step of each batch, ascending.
    counts
        (batches, halves, sides, strata) what each batch takes.
    asked
        (n,) which of the batches.

    Examples
    --------
    Two batches of a step take one near and one far anchor each.

    >>> counts = np.ones((2, 1, 2, 1), dtype=int)
    >>> place, sizes = deal(np.array([7, 8, 3, 4]), np.array([0, 0]), counts, np.array([1]))
    >>> place.tolist(), sizes.tolist()
    ([8, 4], [2])
    """
    # (batches, halves, strata, sides): the order in which anchors come
    wanted = counts.transpose(0, 1, 3, 2)
    flat = wanted.reshape(len(wanted), -1)
    first_batch = np.flatnonzero(np.append(True, step[1:] != step[:-1]))
    which = np.cumsum(np.append(False, step[1:] != step[:-1]))
    total = np.add.reduceat(flat, first_batch, axis=0)
    begin = (np.cumsum(total) - total.ravel()).reshape(total.shape)  # of each part of each step
    earlier = np.cumsum(flat, axis=0) - flat
    start = begin[which] + earlier - earlier[first_batch][which]
    taken, number = expand(flat[asked].ravel())
    return place[start[asked].ravel()[taken] + number], flat[asked].sum(axis=1)

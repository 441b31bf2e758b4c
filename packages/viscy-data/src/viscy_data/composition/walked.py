"""Passes through a small pool, walked visit after visit, for visits of any sizes.

What `endless` and `tight` promise, read plainly: a visit takes the rest of a pass, then the first of
a new keyed permutation that it does not hold yet; those it skipped come next. A visit larger than its
pool takes every member whole times, and the remainder from the passes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.purpose import Purpose

Integers = NDArray[np.int64]


def walk(size: int, counts: Sequence[int], key: tuple[int, int]) -> list[Integers]:
    """Return the members in ``range(size)`` that visits of the given counts take.

    Examples
    --------
    >>> visits = walk(3, [2, 2, 2], (0, 0))
    >>> sorted(np.concatenate(visits).tolist())
    [0, 0, 1, 1, 2, 2]
    """
    left = np.zeros(0, dtype=np.int64)
    turn = 0
    found = []
    for count in counts:
        copies, wanted = divmod(count, size)
        taken, left = left[:wanted], left[wanted:]
        if taken.size < wanted:
            order = keyed.permute(np.arange(size), size, keyed.words(*key, Purpose.PASS, turn))
            turn += 1
            new = order[~np.isin(order, taken)][: wanted - taken.size]
            taken, left = np.concatenate([taken, new]), order[~np.isin(order, new)]
        found.append(np.concatenate([taken, np.tile(np.arange(size), copies)]))
    return found

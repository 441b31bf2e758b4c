"""A history of visits that was written down, for pools without a schedule."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.history import Condition, Moments

Integers = NDArray[np.int64]


class ListedHistory:
    """What each visit took, the same for all pools (so that the pool does not matter).

    Parameters
    ----------
    counts
        Draws of each visit.
    partial
        Whether each visit is of the smaller size; None for none.
    """

    def __init__(self, counts: Sequence[int], partial: Sequence[bool] | None = None) -> None:
        smaller = np.zeros(len(counts), dtype=np.bool_) if partial is None else np.array(partial)
        self._smaller = np.append(smaller, False)
        self._partial = np.concatenate([[0], np.cumsum(smaller)])
        self.total = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def moments(self, visit: Integers) -> Moments:
        """Return the moments before visits."""
        return Moments(visit - self._partial[visit], self._partial[visit], self._smaller[visit])

    def drawn(self, pool: Integers, moments: Moments) -> Integers:  # noqa: ARG002 of the protocol
        """Return what was drawn from each pool before each moment."""
        drawn: Integers = self.total[moments.whole + moments.short]
        return drawn

    def last(self, pool: Integers, holds: Condition) -> Moments:
        """Try every moment."""
        visits = [self.moments(np.full(pool.size, visit)) for visit in range(self.total.size - 1)]
        return self.moments(np.sum([holds(moment) for moment in visits], axis=0) - 1)

"""Which anchor stands in for one that cannot be read.

The stand-in comes from the same *cell*, the anchors of one experiment and one condition (and of one channel,
where rows are channels), so that the
batch keeps its composition, and is never in the batch already. It is a pure function of the batch and of
(seed, epoch, batch number, place, attempt).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.columns import CHANNEL, CONDITION, EXPERIMENT

type IntArray = NDArray[np.int64]

_TRIES = 64


@dataclass(frozen=True)
class Cells:
    """Rows of an anchors table by experiment, condition and channel.

    Attributes
    ----------
    anchors
        The table.
    seed
        Of the draws.
    valid
        (V,) rows that may stand in; None: all.
    """

    anchors: pd.DataFrame
    seed: int
    valid: IntArray | None = None

    @cached_property
    def _cell(self) -> NDArray[np.int32]:
        by = [name for name in (EXPERIMENT, CONDITION, CHANNEL) if name in self.anchors]
        cells = self.anchors.groupby(by, dropna=False, observed=True).ngroup()
        return cells.to_numpy().astype(np.int32)

    @cached_property
    def _sorted(self) -> tuple[IntArray, IntArray]:
        """Return the valid rows sorted by cell and where each cell starts; made when first needed."""
        rows = np.arange(len(self.anchors)) if self.valid is None else self.valid
        order = rows[np.argsort(self._cell[rows], kind="stable")]
        return order, np.searchsorted(self._cell[order], np.arange(self._cell.max() + 2))

    def draw(self, row: int, taken: set[int], key: tuple[int, int, int, int]) -> int | None:
        """Return a row of ``row``'s cell that is not ``taken``, or None where none was found.

        Parameters
        ----------
        row
            The anchor to stand in for.
        taken
            Rows that must not come back: the batch's, and those tried before.
        key
            Epoch, batch number, place in the batch and attempt, all >= 0.
        """
        order, starts = self._sorted
        cell = order[starts[self._cell[row]] : starts[self._cell[row] + 1]]
        places = np.random.default_rng((self.seed, *key)).integers(0, len(cell), _TRIES)
        drawn = (int(candidate) for candidate in cell[places])
        few = (int(candidate) for candidate in cell) if len(cell) <= _TRIES else iter(())
        return next((one for source in (drawn, few) for one in source if one not in taken), None)

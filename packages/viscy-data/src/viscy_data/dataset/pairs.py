"""Which anchors of a table may begin a pair, and which row is whose positive.

*Rows* number the anchors table in its own order, as embeddings of it do. A row is *valid* where it has a
positive. A *position* numbers the valid rows only, in the same order: what a sampler that was given the
valid anchors draws, and what becomes a row before anything is read.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.errors import InvalidInputError
from viscy_data.tables.pairing import PositiveDraws

type IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Anchors, which of them are valid, and the draw of their positives.

    Attributes
    ----------
    anchors
        (M, columns), in the order of the table.
    positives
        None: every anchor is its own positive.
    valid
        (V,) row of each position; None where all rows are valid, so that both are the same.
    """

    anchors: pd.DataFrame
    positives: PositiveDraws | None = None
    valid: IntArray | None = None

    @classmethod
    def build(
        cls,
        table: pd.DataFrame,
        positives: PositiveDraws | None,
        *,
        lacking: str = "",
    ) -> "Pairs":
        """Find the rows of a table that have a positive.

        Parameters
        ----------
        table
            (M, columns).
        positives
            The rule; None: every anchor is its own.
        lacking
            What the error says where no row has one.

        Raises
        ------
        InvalidInputError
            Where no row has one.
        """
        anchors = table.reset_index(drop=True)
        if positives is None or positives.has_positive.all():
            return cls(anchors, positives)
        if not positives.has_positive.any():
            raise InvalidInputError(lacking or f"none of the {len(table)} anchors has a positive.")
        return cls(anchors, positives, np.flatnonzero(positives.has_positive))

    @property
    def count(self) -> int:
        """How many rows are valid."""
        return len(self.anchors) if self.valid is None else len(self.valid)

    def rows_of(self, positions: IntArray) -> IntArray:
        """Return the rows (B,) at ``positions`` (B,) among the valid ones."""
        return positions if self.valid is None else self.valid[positions]

    def positions_of(self, rows: IntArray) -> IntArray:
        """Return the positions (B,) of valid ``rows`` (B,)."""
        return rows if self.valid is None else np.searchsorted(self.valid, rows)

    def valid_anchors(self) -> pd.DataFrame:
        """Return the valid anchors; their index is their positions."""
        return self.anchors if self.valid is None else self.anchors.take(self.valid).reset_index(drop=True)

    def draw(self, rows: IntArray, *, epoch: int, number: int, places: IntArray) -> IntArray:
        """Return the rows (B,) of the positives of ``rows`` (B,), at ``places`` (B,) of their batch."""
        if self.positives is None:
            return rows.copy()
        return self.positives.draw(rows, epoch=epoch, number=number, places=places)

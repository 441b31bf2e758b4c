"""The row space of a dataset: valid anchors first, and which row is whose positive.

*Table rows* are those of the anchors table. *Rows* number the same anchors anew: those that have a
positive, in the order of the table, then the others, which can only be positives. Everything that
images are asked by, a sampler's positions included, are rows.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.errors import InvalidInputError
from viscy_data.positives import Positives

type IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Anchors in row order, and the draw of their positives.

    Attributes
    ----------
    anchors
        (M, columns), valid anchors first.
    count
        How many are valid.
    positives
        Over table rows; None: every anchor is its own positive.
    table_row, row
        (M,) table row of each row, and row of each table row; None where all rows are valid.
    """

    anchors: pd.DataFrame
    count: int
    positives: Positives | None = None
    table_row: IntArray | None = None
    row: IntArray | None = None

    @classmethod
    def build(cls, table: pd.DataFrame, positives: Positives | None) -> "Pairs":
        """Order a table by whether its rows have a positive.

        Raises
        ------
        InvalidInputError
            Where no row has one.
        """
        if positives is None or positives.has_positive.all():
            return cls(table.reset_index(drop=True), len(table), positives)
        valid = positives.has_positive
        if not valid.any():
            raise InvalidInputError(
                f"none of the {len(table)} anchors has a positive in its tau range. "
                "Widen tau, or take positive='self'."
            )
        table_row = np.concatenate([np.flatnonzero(valid), np.flatnonzero(~valid)])
        row = np.empty_like(table_row)
        row[table_row] = np.arange(len(table_row))
        ordered = table.iloc[table_row].reset_index(drop=True)
        return cls(ordered, int(valid.sum()), positives, table_row, row)

    def draw(self, rows: IntArray, *, epoch: int, number: int, places: IntArray) -> IntArray:
        """Return the rows (B,) of the positives of ``rows`` (B,), at ``places`` (B,) of their batch."""
        if self.positives is None:
            return rows.copy()
        asked = rows if self.table_row is None else self.table_row[rows]
        drawn = self.positives.draw(asked, epoch=epoch, number=number, places=places)
        return drawn if self.row is None else self.row[drawn]

"""Positives of a screen: another cell that has the same values of some columns, such as the same gene.

A screen may have one time point only, so that no cell has a later self. What its cells share is what was done
to them, and a model is to find two cells of one gene alike. So a positive is another cell that has the same
values (:mod:`viscy_data.tables.others`).

A *cell* is what has one ``global_track_id``; no row of the anchor's own cell is its positive, at whatever
time. Sisters are other cells. Each row of the other cells is equally likely, so that a cell seen in ten
frames is drawn ten times as often as one seen once. A row of which a value is not known has no positive, and
is never one. In a table of channels the marker is one of the values: positives keep it.

Cost: that of :mod:`viscy_data.tables.others`.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.columns import EXPERIMENT, FOV, MARKER, TRACK_ID
from viscy_data.composition.keyed import Purpose
from viscy_data.errors import InvalidInputError, suggest
from viscy_data.packing import pack
from viscy_data.tables.lineage import BoolArray, IntArray
from viscy_data.tables.others import Others
from viscy_data.tables.positives import in_batch, place_numbers

# What a positive's random numbers are for; those of lineages are 0 to 2.
_VALUES = 3


class SameValuePositives:
    """The positives of every row of an anchors table: other cells with the same values.

    Parameters
    ----------
    anchors
        The anchors table or any subset of it, M rows in any order. Columns used: ``experiment``, ``well``
        (where there is one), ``fov``, ``track_id`` and those of ``by``.
    by
        Columns whose values a positive shares with its anchor.
    within
        ``"experiment"``: both are of one experiment; None: of any.
    parts
        (M,) whole numbers from 0: rows of different parts, such as training and validation, are never a pair.
    seed
        First word of the key.

    Raises
    ------
    InvalidInputError
        Where a column is missing.

    Examples
    --------
    >>> anchors = pd.DataFrame({"experiment": "a", "fov": "A/1/0", "track_id": [1, 2, 3],
    ...                         "gene": ["TP53", "MYC", "TP53"]})
    >>> positives = SameValuePositives(anchors, ["gene"])
    >>> positives.has_positive.tolist()
    [True, False, True]
    >>> positives.draw(np.array([2, 0]), epoch=0, number=0).tolist()
    [0, 2]
    """

    def __init__(
        self,
        anchors: pd.DataFrame,
        by: Sequence[str],
        *,
        within: Literal["experiment"] | None = "experiment",
        parts: NDArray[np.integer[Any]] | None = None,
        seed: int = 0,
    ) -> None:
        _check_columns(anchors, by)
        self._seed = seed
        kept = [name for name, keeps in ((EXPERIMENT, within), (MARKER, MARKER in anchors)) if keeps]
        codes = [_codes(anchors[name]) for name in dict.fromkeys([*kept, *by])]
        group, rows = _groups_of([*codes, *([] if parts is None else [np.asarray(parts, dtype=np.int64)])])
        del codes
        track = anchors[TRACK_ID].to_numpy().astype(np.int64)
        track -= track.min(initial=0)
        cell = [place_numbers(anchors)[rows], track[rows]]
        del track
        self._others = Others(group, cell, rows, len(anchors))
        self.has_positive: BoolArray = self._others.exist

    def draw(self, rows: IntArray, *, epoch: int, number: int, places: IntArray | None = None) -> IntArray:
        """Draw, as `Positives.draw`; an anchor that occurs again takes another row, while there are any."""
        rows, place, again = in_batch(rows, places, self.has_positive)
        key = self._seed, Purpose.POSITIVE, epoch, number, _VALUES
        return self._others.draw(rows, place, again, key)


def _groups_of(codes: Sequence[NDArray[np.integer[Any]]]) -> tuple[IntArray, IntArray]:
    """Return a number for the values of each row where all are known (K,), and which rows those are (K,)."""
    known = np.ones(len(codes[0]), dtype=np.bool_)
    for one in codes:
        known &= one >= 0
    rows = np.flatnonzero(known)
    return pack([one[rows] for one in codes]), rows


def _codes(column: "pd.Series[Any]") -> NDArray[np.integer[Any]]:
    """Return a code of each row (M,), equal for equal values; -1: not known."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy()
    return pd.factorize(column)[0].astype(np.int32)


def _check_columns(anchors: pd.DataFrame, by: Sequence[str]) -> None:
    held = [str(name) for name in anchors.columns]
    for name in by:
        if name not in held:
            raise InvalidInputError(
                f"by={name!r} is not a column of the table, which has {', '.join(held)}.{suggest(name, held)}"
            )
    missing = [name for name in (EXPERIMENT, FOV, TRACK_ID) if name not in held]
    if missing:
        raise InvalidInputError(
            f"anchors: to tell cells apart the columns {', '.join(missing)} are needed; the table has "
            f"{', '.join(held)}"
        )

"""Positives across markers: another channel of the same cell, in its frame or later.

Where a row of the table is one channel of a cell, positives keep the marker. To learn what markers share,
such as what a stain says of phase contrast, a pair has to show two of them. The positive is then another row
of the same cell and frame, of another marker. Where a range of times is given, the cell's later self is drawn
as ever, in the anchor's own channel (:mod:`viscy_data.tables.positives`), and gives way to another marker of
the same cell in that later frame.

A cell that shows one marker in a frame only takes no part in it: not as an anchor, and not as a later self.
Two channels of one marker are never a pair.

Cost: that of :mod:`viscy_data.tables.others`; with a range of times, also that of the later selves.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from viscy_data.columns import CHANNEL, EXPERIMENT, FOV, MARKER, TRACK_ID, T
from viscy_data.composition.keyed import Purpose
from viscy_data.errors import InvalidInputError
from viscy_data.packing import pack
from viscy_data.tables.codes import codes_of
from viscy_data.tables.lineage import BoolArray, IntArray
from viscy_data.tables.others import Others
from viscy_data.tables.positives import Positives, in_batch, place_numbers

# What a positive's random numbers are for; those of lineages are 0 to 2, that of the same values is 3.
_MARKER = 4


class AcrossMarkerPositives:
    """The positives of every row of an anchors table: other markers of the same cell.

    Parameters
    ----------
    anchors
        The anchors table or any subset of it, M rows in any order. Columns used: ``experiment``, ``well``
        (where there is one), ``fov``, ``track_id``, ``t``, ``marker``, and ``channel`` with ``later``.
    later
        Makes the later selves of a table of cells that show several markers; None: those of the same frame.
    seed
        First word of the key.

    Raises
    ------
    InvalidInputError
        Where a column is missing.

    Examples
    --------
    >>> anchors = pd.DataFrame({"experiment": "a", "fov": "A/1/0", "track_id": [1, 1, 2], "t": 0,
    ...                         "marker": ["phase", "ER", "phase"]})
    >>> positives = AcrossMarkerPositives(anchors)
    >>> positives.has_positive.tolist()
    [True, True, False]
    >>> positives.draw(np.array([1, 0]), epoch=0, number=0).tolist()
    [0, 1]
    """

    def __init__(
        self,
        anchors: pd.DataFrame,
        *,
        later: Callable[[pd.DataFrame], Positives] | None = None,
        seed: int = 0,
    ) -> None:
        _check_columns(anchors, (EXPERIMENT, FOV, TRACK_ID, T, *([CHANNEL] if later else [])))
        self._seed = seed
        track, t = (anchors[name].to_numpy().astype(np.int64) for name in (TRACK_ID, T))
        cell = pack([place_numbers(anchors), track - track.min(initial=0), t - t.min(initial=0)])
        every = np.arange(len(anchors))
        self._markers = Others(cell, [codes_of(anchors[MARKER])[0]], every, len(anchors))
        self.has_positive: BoolArray = self._markers.exist
        self._later: Positives | None = None
        if later is not None and self._markers.exist.any():
            # (S,) the rows that may be anchors or later selves, and (M,) where each is among them
            self._rows = np.flatnonzero(self._markers.exist)
            self._place = np.cumsum(self._markers.exist) - 1
            self._later = later(anchors.iloc[self._rows])
            self.has_positive = np.zeros(len(anchors), dtype=np.bool_)
            self.has_positive[self._rows] = self._later.has_positive

    def draw(self, rows: IntArray, *, epoch: int, number: int, places: IntArray | None = None) -> IntArray:
        """Draw, as `Positives.draw`."""
        rows, place, again = in_batch(rows, places, self.has_positive)
        if self._later is not None:
            drawn = self._later.draw(self._place[rows], epoch=epoch, number=number, places=place)
            rows = self._rows[drawn]
        key = self._seed, Purpose.POSITIVE, epoch, number, _MARKER
        return self._markers.draw(rows, place, again, key)


def _check_columns(anchors: pd.DataFrame, needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in anchors]
    if MARKER not in anchors:
        raise InvalidInputError(
            "across='marker': a row of the table holds all channels of its cell; say 'samples: channels' in "
            "the experiments file and index again."
        )
    if missing:
        raise InvalidInputError(
            f"anchors: to tell cells apart the columns {', '.join(missing)} are needed; the table has "
            f"{', '.join(map(str, anchors.columns))}"
        )

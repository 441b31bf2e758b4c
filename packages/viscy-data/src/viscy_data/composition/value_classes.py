"""The values of cells, such as lineages, in classes: those that have the same number of slots in a round.

See `rounds` for what a round is. Kept are some numbers per class, of which a cell of n anchors has at
most sqrt(2 n), and per value that has more anchors than a round has visits.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.distinct import AnchorValues
from viscy_data.composition.layout import AnchorLayout

Integers = NDArray[np.int64]

MARGIN: Final = 64
"""Draws by which a round of a share that is not whole may exceed its mean."""

PIECES: Final = 4
"""Pieces of a class in a line, at most."""


@dataclass(frozen=True)
class ValueClasses:
    """The values of all cells, by class.

    Attributes
    ----------
    visits, slots, least
        (cells,) visits of a round, 0 where the cell has too few values; slots of a round; least
        draws of a visit.
    first
        (cells + 1,) first piece of each cell.
    name, width, count
        (pieces,) the piece's class, slots of each of its values, and how many values it has.
    slot, place
        (pieces,) the class's first slot in its cell, and the layout's place of its first anchor.
    long
        (pieces,) the first of the class's values in ``long_start`` and ``long_size``; -1 for a
        class of which every anchor has a slot.
    low, high
        (pieces,) which of the class's values in the order of a round the piece holds.
    long_start, long_size
        First place and number of anchors of each value that has more than Q.
    """

    visits: Integers
    slots: Integers
    least: Integers
    first: Integers
    name: Integers
    width: Integers
    count: Integers
    slot: Integers
    place: Integers
    long: Integers
    low: Integers
    high: Integers
    long_start: Integers
    long_size: Integers

    @classmethod
    def of(cls, layout: AnchorLayout, means: list[Fraction]) -> Self:
        """Find the classes of a layout that is sorted by values; ``means``: draws of a visit, by cell."""
        code = layout.need_values().code
        cells = [
            _Cell.of(code[low:high], low, mean)
            for (low, high), mean in zip(pairwise(layout.start.tolist()), means, strict=True)
        ]
        longs = np.cumsum([0, *(cell.long_size.size for cell in cells)])
        classes = [cell.classes(int(before)) for cell, before in zip(cells, longs, strict=False)]
        first = np.cumsum([0, *(len(found) for found in classes)])
        pieces = _pieces(np.concatenate(classes))
        by_cell = (
            np.array([cell.visits for cell in cells]),
            np.array([cell.slots for cell in cells]),
            np.array([floor(mean) for mean in means]),
            np.searchsorted(pieces[0], first),
        )
        ends = [
            np.concatenate([getattr(cell, part) for cell in cells]) for part in ("long_start", "long_size")
        ]
        return cls(*by_cell, *pieces, *ends)


@dataclass(frozen=True)
class _Cell:
    """One cell: visits of a round; (values,) first places and sizes of short values; those of long ones."""

    visits: int
    start: Integers
    size: Integers
    long_start: Integers
    long_size: Integers

    @classmethod
    def of(cls, code: NDArray[np.uint32], low: int, mean: Fraction) -> Self:
        """Find the values of a cell whose first place is ``low``; none where a round is not possible."""
        edges = np.flatnonzero(np.diff(code.astype(np.int64), prepend=-1, append=-1)) + low
        start, size = edges[:-1], np.diff(edges)
        visits = _visits_of_a_round(size, mean) if mean else 0
        known, short = visits > 0, size <= visits
        return cls(
            visits, start[short & known], size[short & known], start[~short & known], size[~short & known]
        )

    @property
    def slots(self) -> int:
        """Slots of a round."""
        return int(self.size.sum()) + self.visits * self.long_size.size

    def classes(self, longs: int) -> Integers:
        """Return (classes, 5): width, count, first slot, first place, and number of the first long value."""
        width, index, count = np.unique(self.size, return_index=True, return_counts=True)
        slot = np.cumsum(width * count) - width * count
        short = np.stack([width, count, slot, self.start[index], np.full(width.size, -1)], axis=1)
        if not self.long_size.size:
            return short
        return np.vstack([short, [self.visits, self.long_size.size, int(self.size.sum()), 0, longs]])


def _pieces(classes: Integers) -> tuple[Integers, ...]:
    """Cut classes (width, count, slot, place, long) into pieces; see `Rounds`."""
    count = classes[:, 1]
    cut = np.minimum(count, PIECES)
    name = np.repeat(np.arange(count.size), cut)
    nth = np.arange(name.size) - (np.cumsum(cut) - cut)[name]
    low, high = ((nth + after) * count[name] // cut[name] for after in (0, 1))
    return name, *classes[name].T, low, high


def _visits_of_a_round(size: Integers, mean: Fraction) -> int:
    """Return the most visits for which values of these sizes have slots enough; 0 for none."""

    def suffices(visits: int) -> bool:
        drawn = min(ceil(visits * mean) + (MARGIN if mean % 1 else 0), visits * ceil(mean))
        return int(np.minimum(size, visits).sum()) >= drawn

    total = int(size.sum())
    low, high = 0, int(total / mean)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if suffices(middle) else (low, middle - 1)
    return low


def sort_by_values(layout: AnchorLayout) -> AnchorLayout:
    """Return a layout whose cells are sorted by the number of anchors of a value, then by value.

    Cost: one sort per cell.
    """
    values, rows = layout.need_values(), layout.rows.copy()
    code = values.code.copy()
    for low, high in pairwise(layout.start.tolist()):
        _, inverse, count = np.unique(code[low:high], return_inverse=True, return_counts=True)
        order = np.lexsort((inverse, count[inverse]))
        rows[low:high] = rows[low:high][order]
        code[low:high] = code[low:high][order]
    return replace(layout, rows=rows, values=AnchorValues(code, None, 0.0))

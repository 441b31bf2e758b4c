"""Rows of the same group that are not of one's own kind: how many there are, and a draw of one.

Screens ask for another cell of the same gene, channels for another marker of the same cell. Both are one
question: each row has a *group* (the gene, the cell) and a *kind* in it (the cell, the marker), and wanted is
a row of the group and of another kind. Rows are sorted once by (group, kind). A group is then one run, the
row's own kind is one run inside it, and a draw is a number below the difference of their lengths: it costs
two binary searches and looks at no other row.

Cost: sorting takes 75 bytes of each row in passing; 9 bytes are kept for each row and 4 for each kind.
"""

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.packing import pack
from viscy_data.tables.lineage import BoolArray, IntArray

type Indices = NDArray[np.int32] | NDArray[np.int64]

# The last words of a draw's key, beside the caller's.
_FIRST, _AGAIN = range(2)


class Others:
    """The other rows of each row's group.

    Parameters
    ----------
    group
        (K,) of the rows that take part.
    kind
        Columns (K,) of whole numbers from 0 that together tell the kinds of a group apart.
    rows
        (K,) ascending, which rows of the table they are.
    count
        M, rows of the table.

    Attributes
    ----------
    exist
        (M,) whether a row has others.

    Examples
    --------
    >>> group, kind = np.array([[0, 0, 0, 1], [4, 4, 2, 1]])
    >>> others = Others(group, [kind], np.arange(4), 4)
    >>> others.exist.tolist()
    [True, True, True, False]
    >>> others.draw(np.array([0, 1]), np.array([0, 1]), np.array([0, 0]), (7,)).tolist()
    [2, 2]
    """

    def __init__(self, group: IntArray, kind: list[IntArray], rows: IntArray, count: int) -> None:
        keys = pack([group, *kind])
        order = np.argsort(keys, kind="stable")
        # Numbers of rows are kept in int32, wherever all rows can be counted in it: in half the bytes.
        self._kinds = _narrow(_run_starts(keys[order]), count)
        del keys
        self._groups = _narrow(_run_starts(group[order]), count)
        self._order = _narrow(rows[order], count)
        del order
        # (M,) where each row is in the order; -1: it takes no part
        self._place = np.full(count, -1, dtype=self._order.dtype)
        self._place[self._order] = np.arange(len(self._order), dtype=self._order.dtype)
        of_kind = np.searchsorted(self._groups, self._kinds[:-1], side="right") - 1
        more = np.diff(self._groups)[of_kind] > np.diff(self._kinds)
        self.exist: BoolArray = np.zeros(count, dtype=np.bool_)
        self.exist[self._order] = np.repeat(more, np.diff(self._kinds))

    def draw(self, rows: IntArray, places: IntArray, again: IntArray, key: tuple[int, ...]) -> IntArray:
        """Return one of the others (B,) of each row, all of them equally likely.

        Parameters
        ----------
        rows
            (B,) rows that have others.
        places
            (B,) the last word of the key; the same for rows that take turns.
        again
            (B,) whose turn it is, from 0: different turns get different rows, while there are any.
        key
            The first words.
        """
        begin, end = _run_of(self._groups, self._place[rows])
        own_begin, own_end = _run_of(self._kinds, self._place[rows])
        own = own_end - own_begin
        count = end - begin - own
        start = keyed.below(keyed.words(*key, _FIRST, places), count)
        step = keyed.permute(again % count, count, keyed.words(*key, _AGAIN, places))
        place = begin + (start + step) % count
        place += np.where(place >= own_begin, own, 0)
        return self._order[place].astype(np.int64)


def _narrow(values: IntArray, count: int) -> Indices:
    """Return numbers up to ``count`` as int32, where they fit."""
    return values.astype(np.int32) if count <= np.iinfo(np.int32).max else values


def _run_starts(values: IntArray) -> IntArray:
    """Return where runs of equal values begin, and the end of the last one."""
    opens = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=opens[1:])
    return np.append(np.flatnonzero(opens), len(values))


def _run_of(starts: Indices, place: Indices) -> tuple[IntArray, IntArray]:
    run = np.searchsorted(starts, place, side="right") - 1
    return starts[run].astype(np.int64), starts[run + 1].astype(np.int64)

"""Who is related to a cell some frames later: lookups over a whole table, without a loop over rows.

The relatives of a track are its *line* - itself, its ancestors and its descendants - and, where asked
for, its *sisters*, the tracks with the same parent. Tracks are numbered depth first, so that a track
and its descendants are an interval, and rows are sorted by (frame, number). What a track and its
descendants have at a frame is then a range between two binary searches. Ancestors matter only where
they outlive the birth of their daughters; those and sisters are looked up one by one.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viscy_data.packing import stable_order
from viscy_data.tables.lineage import BoolArray, Forest, IntArray, preorder


class Relatives:
    """The relatives of every row of a table at later frames.

    Parameters
    ----------
    forest
        The tracks of the table.
    t
        (M,) frame of each row.
    sisters
        Sisters are relatives, too.

    Attributes
    ----------
    track, t
        (M,) of each row, int32.
    by_time
        (M,) the rows in the order of frames, then of tracks.

    Examples
    --------
    >>> from viscy_data.tables.lineage import build_forest
    >>> tracks, parents = np.array([[1, 1, 2, 3], [-1, -1, 1, 1]])
    >>> forest = build_forest(np.zeros(4, dtype=np.int64), tracks, parents)
    >>> relatives = Relatives(forest, np.array([0, 1, 2, 2]), sisters=False)
    >>> relatives.count(np.array([0, 1, 2]), np.array([1, 1, 1])).tolist()
    [1, 2, 0]
    >>> relatives.pick(np.array([1, 1]), np.array([1, 1]), np.array([0, 1])).tolist()
    [2, 3]
    """

    def __init__(self, forest: Forest, t: NDArray[np.integer[Any]], *, sisters: bool) -> None:
        self.track = forest.rows.astype(np.int32)
        self.t = t.astype(np.int32)
        self._parent, self._sisters = forest.parent, sisters
        self._first, self._size = preorder(forest.parent)
        self._elders, self._sibling, self._siblings = _families(forest.parent)
        keys = self._keys(self.t, self._first[forest.rows])
        self.by_time = stable_order(keys)
        self._sorted = keys[self.by_time]
        self._outlived = _outlived(forest.parent, forest.rows, self.t)

    def count(self, rows: IntArray, tau: IntArray) -> IntArray:
        """Return how many relatives each row (n,) has tau (n,) frames later."""
        begin, end = self._line(rows, tau)
        counts = end - begin
        for which, place in self._others(rows, tau):
            counts[which] += place >= 0
        return counts

    def own_track(self, low: IntArray, high: IntArray) -> BoolArray:
        """Say of each row whether its own track is there low .. high frames later, both (n,) by track.

        All False where tracks and frames are too many for a table of both.
        """
        # Wide enough that no step, of the widest range above any lower end, leads into the next track's line.
        widest = int(low.max(initial=0)) + int((high - low).max(initial=0))
        width, tracks = int(self.t.max(initial=-1)) + 1 + widest, len(self._parent)
        found = np.zeros(len(self.t), dtype=np.bool_)
        if width * tracks > 8 * len(self.t) or (self.t < 0).any():
            return found
        timetable = np.zeros(width * tracks, dtype=np.bool_)
        place = self.track.astype(np.int64) * width + self.t
        timetable[place] = True
        reach = high - low
        alike = (low == low[:1]).all() and (reach == reach[:1]).all()  # as in one experiment
        place += low[0] if alike and tracks else low[self.track]
        of_rows = None if alike else reach[self.track]
        for step in range(int(reach.max(initial=-1)) + 1):
            there = timetable[place + step]
            found |= there if of_rows is None else there & (step <= of_rows)
        return found

    def exist(self, rows: IntArray, tau: IntArray) -> BoolArray:
        """Say of each row (n,) whether it has a relative tau (n,) frames later: faster than to count."""
        track = self.track[rows]
        keys = self._keys(self.t[rows] + tau, self._first[track])
        nearest = self._sorted[np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)]
        found = np.asarray((nearest >= keys) & (nearest < keys + self._size[track]))
        for which, place in self._others(rows, tau):
            found[which] |= place >= 0
        return found

    def pick(self, rows: IntArray, tau: IntArray, i: IntArray) -> IntArray:
        """Return the i-th relative of each row, tau frames later; i (n,) is below their number."""
        begin, end = self._line(rows, tau)
        left = i - (end - begin)
        place = np.where(left < 0, begin + i, -1)
        for which, found in self._others(rows, tau):
            take = (found >= 0) & (left[which] == 0) & (place[which] < 0)
            place[which[take]] = found[take]
            left[which[found >= 0]] -= 1
        return self.by_time[place]

    def _line(self, rows: IntArray, tau: IntArray) -> tuple[IntArray, IntArray]:
        """Return the range of sorted places with the row's track and its descendants at t + tau."""
        track = self.track[rows]
        later = self.t[rows] + tau
        first = self._first[track]
        begin = np.searchsorted(self._sorted, self._keys(later, first))
        end = np.searchsorted(self._sorted, self._keys(later, first + self._size[track]))
        return begin, end

    def _others(self, rows: IntArray, tau: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
        """Yield (which rows, sorted place or -1) of ancestors, then of sisters, one relative at a time."""
        which = np.flatnonzero(self._outlived[self.track[rows]])
        relative = self._parent[self.track[rows[which]]]
        while len(which):
            yield which, self._find(relative, self.t[rows[which]] + tau[which])
            relative = self._parent[relative]
            which, relative = which[relative >= 0], relative[relative >= 0]
        for k in range(int(self._siblings.max(initial=0)) if self._sisters else 0):
            own = self.track[rows]
            which = np.flatnonzero(self._siblings[own] > k)
            sister = self._sibling[self._elders[own[which]] + k]
            which, sister = which[sister != own[which]], sister[sister != own[which]]
            yield which, self._find(sister, self.t[rows[which]] + tau[which])

    def _find(self, track: IntArray, t: IntArray) -> IntArray:
        """Return the sorted place of each (track, frame), or -1 where the track is not in that frame."""
        keys = self._keys(t, self._first[track])
        place = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        return np.where(self._sorted[place] == keys, place, -1)

    def _keys(self, t: NDArray[np.integer[Any]], first: IntArray) -> IntArray:
        # One more than there are tracks: the end of the last track's interval is a key, too.
        return t.astype(np.int64) * (len(self._parent) + 1) + first


def _families(parent: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return where each track's family begins, the tracks by family, and the family's size.

    A family is the tracks with one parent; roots have none, size 0.
    """
    order = stable_order(parent)
    begin = np.searchsorted(parent[order], parent)
    end = np.searchsorted(parent[order], parent, side="right")
    return begin, order, np.where(parent < 0, 0, end - begin)


def _outlived(parent: IntArray, track: IntArray, t: NDArray[np.int32]) -> BoolArray:
    """Say of each track whether an ancestor is still there after its first frame.

    ``track`` and ``t`` (M,) are those of the rows.
    """
    start = np.full(len(parent), np.iinfo(np.int32).max, dtype=np.int32)
    end = np.full(len(parent), -1, dtype=np.int32)
    np.minimum.at(start, track, t)
    np.maximum.at(end, track, t)
    latest = np.where(parent >= 0, end[parent], -1)
    above = parent
    while (above >= 0).any():
        latest = np.maximum(latest, np.where(above >= 0, latest[above], -1))
        above = np.where(above >= 0, above[above], -1)
    return np.asarray(latest > start)

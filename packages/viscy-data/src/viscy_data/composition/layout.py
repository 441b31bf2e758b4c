"""The anchors of a table, sorted once so that every part of a batch is a range of places.

A batch wants anchors of one group and one stratum, near a time, from few frames. Looking for them in the
table would cost a pass over it per batch. So anchors are sorted by (stratum, group, time, frame). A *cell*,
the anchors of one stratum and one group, is then a range of neighbouring places; a focal window in it is a
range found by two binary searches; its outside, and the anchors of a stratum in all other groups, are ranges
with a hole. Where batches come from few fields of view, cells are sorted by (field of view, time) instead,
and each field of view has a window of its own.

Times are kept as *runs*: one entry per distinct time of a cell (or field of view). Kept per anchor: 4 bytes
of row number, 4 for each cap, 4 with weights; and 16 bytes per run, 4 per frame. Building costs one sort of
packed integers by cell and one per cell by time; frames cost another.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.keyed import LIMIT
from viscy_data.composition.ranges import Slots
from viscy_data.errors import InvalidInputError

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Rows = NDArray[np.uint32]

_FEW: Final = 100
"""Ranges below which searching one after the other costs less."""


@dataclass(frozen=True)
class Labels:
    """One categorical column (or a combination of several): a code per anchor and its values.

    Attributes
    ----------
    names
        Column names.
    codes
        (N,) integers in ``range(len(values))``; None where there is one value only.
    values
        Values in sorted order; each occurs.
    """

    names: tuple[str, ...]
    codes: NDArray[Any] | None
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Clock:
    """Times of anchors, as runs of places that share one.

    Attributes
    ----------
    run_time, run_start
        (runs,) distinct times of each cell (or unit), ascending, and (runs + 1,) their first places.
    first_run
        (cells + 1,), or (units + 1,), first run of each.
    group_run, group_start
        One run for each distinct time of each group, ascending; (groups + 1,) where each group's
        begin.
    """

    run_time: Floats
    run_start: Rows
    first_run: Integers
    group_run: Rows
    group_start: Integers

    def window(self, which: Integers, low: Floats, high: Floats) -> tuple[Integers, Integers]:
        """Return the first place of each cell (or unit) with time >= low, and with time > high."""
        first, last = self.first_run[which], self.first_run[which + 1]
        found = (self._search(first, last, low, False), self._search(first, last, high, True))
        begin, end = (self.run_start[run].astype(np.int64) for run in found)
        return begin, np.maximum(begin, end)

    def time_of(self, place: Integers) -> Floats:
        """Return the time of the anchor at each place."""
        return self.run_time[np.searchsorted(self.run_start, place, side="right") - 1]

    def times_of_group(self, group: int) -> Floats:
        """Return the distinct times of a group, ascending."""
        return self.run_time[self.group_run[self.group_start[group] : self.group_start[group + 1]]]

    def _search(self, first: Integers, last: Integers, value: Floats, after: bool) -> Integers:
        """Binary search in many ranges of `run_time` at once: the first run >= value, or > value."""
        times = self.run_time
        if value.size < _FEW:
            find = bisect_right if after else bisect_left
            asked = zip(value.tolist(), first.tolist(), last.tolist(), strict=True)
            return np.array([find(times.data, *one) for one in asked], dtype=np.int64)
        low, high = first.copy(), last.copy()
        for _ in range(int((last - first).max(initial=0)).bit_length()):
            middle = (low + high) >> 1
            at = times[np.minimum(middle, times.size - 1)]
            right = (at <= value if after else at < value) & (low < high)
            low = np.where(right, middle + 1, low)
            high = np.where(right, high, middle)
        return low


@dataclass(frozen=True)
class Units:
    """Frames, or fields of view, of cells: one with anchors of two cells counts as two.

    Attributes
    ----------
    start
        (units + 1,) first place of each; those of a cell follow each other.
    first
        (cells + 1,) first unit of each cell.
    are_fovs
        Whether a unit is a field of view, in which times are sorted.
    """

    start: Integers
    first: Integers
    are_fovs: bool


@dataclass(frozen=True)
class Values:
    """What a cap counts.

    Attributes
    ----------
    code
        (N,) value of the anchor at each place.
    count
        Anchors of a value that may come together.
    min_hours
        How far apart on the clock two anchors of a value do not count against each other; None: never.
    """

    code: NDArray[np.uint32]
    count: int
    min_hours: float | None


@dataclass(frozen=True)
class AnchorLayout:
    """Anchors sorted by (stratum, group, time); cell number = stratum * groups + group.

    Attributes
    ----------
    groups, strata
        Values of the groups and strata, without codes.
    rows
        (N,) row of the table at each place.
    start
        (cells + 1,) first place of each cell.
    clock
        Times; None where the plan needs none.
    units
        Frames or fields of view; None where batches may come from everywhere.
    slots
        What anchors own by their weights; None where all count alike.
    caps
        What caps count.
    """

    groups: Labels
    strata: Labels
    rows: Rows
    start: Integers
    clock: Clock | None = None
    units: Units | None = None
    slots: Slots | None = None
    caps: tuple[Values, ...] = ()

    @classmethod
    def build(
        cls,
        count: int,
        groups: Labels,
        strata: Labels,
        times: NDArray[Any] | None = None,
        units: NDArray[Any] | None = None,
        *,
        are_fovs: bool = False,
    ) -> Self:
        """Sort ``count`` anchors.

        Parameters
        ----------
        times
            (N,) finite times by row, or None where no axis needs them.
        units
            (N,) codes >= 0 of frames, or of fields of view, by row; None where batches may come from
            everywhere.

        Raises
        ------
        InvalidInputError
            More anchors than 2**32 - 1.
        """
        if count > LIMIT:
            raise InvalidInputError(f"The table holds {count} anchors; at most {LIMIT} are supported.")
        rows, start = _sort_by_cell(count, groups, strata)
        bare = [Labels(labels.names, None, labels.values) for labels in (groups, strata)]
        found = cls(bare[0], bare[1], rows, start)
        if units is not None and are_fovs:
            found = replace(found, units=_sort_by_units(rows, start, units, None, are_fovs=True))
        if times is not None:
            edges, cell_of = start, np.arange(start.size - 1)
            if found.units is not None:
                edges = found.units.start
                cell_of = np.repeat(cell_of, np.diff(found.units.first))
            found = replace(found, clock=_sort_by_time(rows, edges, times, cell_of % len(groups.values)))
        if units is not None and not are_fovs:
            found = replace(found, units=_sort_by_units(rows, start, units, found.clock, are_fovs=False))
        return found

    @property
    def size(self) -> Integers:
        """(strata, groups) number of anchors in each cell."""
        return np.diff(self.start).reshape(len(self.strata.values), len(self.groups.values))

    def __len__(self) -> int:
        return int(self.start[-1])

    def cell_of(self, place: Integers) -> Integers:
        """Return the cell of each place."""
        return np.searchsorted(self.start, place, side="right") - 1


def _sort_by_cell(count: int, groups: Labels, strata: Labels) -> tuple[Rows, Integers]:
    """Return the rows by cell, in table order inside a cell, and each cell's first place.

    Cell and row are packed into one integer and sorted in place: 16 bytes per anchor at the most.
    """
    cells = len(groups.values) * len(strata.values)
    if cells == 1:
        return np.arange(count, dtype=np.uint32), np.array([0, count])
    cell = np.zeros(count, dtype=np.int64)
    if strata.codes is not None:
        np.multiply(strata.codes, len(groups.values), out=cell, casting="unsafe", dtype=np.int64)
    if groups.codes is not None:
        cell += groups.codes
    start = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=cells))])
    key = cell.view(np.uint64)
    key <<= np.uint64(32)
    key |= np.arange(count, dtype=np.uint32)
    key.sort()
    return key.astype(np.uint32), start


def _sort_by_time(rows: Rows, start: Integers, times: NDArray[Any], group: Integers) -> Clock:
    """Sort the rows of each range in place by time; ``group`` (ranges,) is the group of each."""
    found_times: list[Floats] = []
    found_starts: list[Rows] = []
    first_run = [0]
    for low, high in pairwise(start.tolist()):
        clock = _sorted_cell(rows[low:high], times)
        first = np.flatnonzero(np.concatenate([[high > low], clock[1:] != clock[:-1]]))
        found_times.append(clock[first].astype(np.float64))
        found_starts.append((first + low).astype(np.uint32))
        first_run.append(first_run[-1] + first.size)
    run_time, firsts = np.concatenate(found_times), np.array(first_run)
    ends = np.array([start[-1]], dtype=np.uint32)
    # (runs,) by group, then time; the first run of each time of a group stands for it
    of_run = np.repeat(group, np.diff(firsts))
    order = np.lexsort((run_time, of_run)).astype(np.uint32)
    one = np.append(True, np.diff(run_time[order]) != 0) | np.append(True, np.diff(of_run[order]) != 0)
    kept = order[one[: order.size]]
    count = np.bincount(of_run[kept], minlength=int(group.max()) + 1)
    group_start = np.concatenate([[0], np.cumsum(count)])
    return Clock(run_time, np.concatenate([*found_starts, ends]), firsts, kept, group_start)


def _sort_by_units(
    rows: Rows, start: Integers, code: NDArray[Any], clock: Clock | None, *, are_fovs: bool
) -> Units:
    """Sort the rows of each cell in place by unit; those of a cell that is sorted by time, at each time."""
    starts, first = [], [0]
    for low, high in pairwise(start.tolist()):
        key = code[rows[low:high]].astype(np.int64)
        if clock is not None:
            key |= (np.searchsorted(clock.run_start, np.arange(low, high), side="right") << 32).astype(
                np.int64
            )
        order = np.argsort(key, kind="stable")
        rows[low:high] = rows[low:high][order]
        key = key[order]
        begins = np.flatnonzero(np.append(True, key[1:] != key[:-1])[: key.size])
        starts.append(begins + low)
        first.append(first[-1] + begins.size)
    return Units(np.concatenate([*starts, start[-1:]]), np.array(first), are_fovs)


def _sorted_cell(rows: Rows, times: NDArray[Any]) -> NDArray[Any]:
    """Sort ``rows`` in place by time, then row; return their times, sorted.

    float32 times are packed with their rows into one integer, which sorts in a third of the time.
    """
    clock = times[rows]
    if clock.dtype != np.float32:
        order = np.argsort(clock, kind="stable")
        rows[:] = rows[order]
        return np.asarray(clock[order])
    bits = (clock + np.float32(0)).view(np.uint32)  # + 0 makes -0.0 a plain zero
    sign = np.uint32(0x80000000)
    key = np.where(bits & sign, ~bits, bits | sign).astype(np.uint64)
    key <<= np.uint64(32)
    key |= rows
    key.sort()
    rows[:] = key.astype(np.uint32)
    key >>= np.uint64(32)
    bits = key.astype(np.uint32)
    return np.where(bits & sign, bits ^ sign, ~bits).view(np.float32)

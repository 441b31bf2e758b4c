"""The anchors of a table, sorted once so that every part of a batch is a range.

Anchors are sorted by (stratum, group, time). A *cell*, the anchors of one stratum and one group, is
then a contiguous range of places; a focal window in it is a contiguous subrange found by two binary
searches; its outside, and the anchors of a stratum in all other groups, are two ranges.

Times are kept as *runs*: one entry per distinct time of a cell. Kept per anchor: 4 bytes of row
number, and 16 bytes per run. Building: one sort of packed integers, then one per cell by time.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.distinct import AnchorValues
from viscy_data.composition.keyed import LIMIT
from viscy_data.errors import InvalidInputError

Integers = NDArray[np.int64]
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
class Frames:
    """Frames of cells: a frame with anchors of two cells counts as two.

    Attributes
    ----------
    start
        (frames + 1,) first place of each frame; those of a cell follow each other.
    cell
        (cells + 1,) first frame of each cell.
    """

    start: Integers
    cell: Integers

    @property
    def size(self) -> Integers:
        """(frames,) anchors."""
        return np.diff(self.start)

    def bounds(self, place: Integers) -> tuple[Integers, Integers]:
        """Return the first place of the frame of each place, and the first one after it."""
        frame = np.searchsorted(self.start, place, side="right") - 1
        return self.start[frame], self.start[frame + 1]

    def members(self, place: Integers) -> Integers:
        """Return all places of the frames of these places, each once."""
        start, end = (np.unique(edge) for edge in self.bounds(place))
        return np.concatenate([np.arange(low, high) for low, high in zip(start, end, strict=True)])


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
    run_time, run_start
        (runs,) distinct times of each cell, ascending, and (runs + 1,) their first places; None
        where the plan needs no clock.
    cell_run
        (cells + 1,) first run of each cell.
    group_run, group_start
        One run for each distinct time of each group, ascending; (groups + 1,) where each group's
        begin.
    values
        What no two anchors of a batch may share, by place; None where they may share all.
    weight_sum
        (N + 1,) weights of the anchors before each place, in whole numbers; None where all count alike.
    weight_unit
        What one of these numbers is in the weights of the table.
    frames
        The frames of the anchors, where batches shall come from few.
    """

    groups: Labels
    strata: Labels
    rows: Rows
    start: Integers
    run_time: NDArray[np.float64] | None = None
    run_start: Rows | None = None
    cell_run: Integers | None = None
    group_run: Rows | None = None
    group_start: Integers | None = None
    values: AnchorValues | None = None
    weight_sum: Integers | None = None
    weight_unit: float = 1.0
    frames: Frames | None = None

    @classmethod
    def build(cls, count: int, groups: Labels, strata: Labels, times: NDArray[Any] | None) -> Self:
        """Sort ``count`` anchors; ``times`` are finite hours, or None where no axis needs them.

        Raises
        ------
        InvalidInputError
            More anchors than 2**32 - 1.
        """
        if count > LIMIT:
            raise InvalidInputError(f"The table holds {count} anchors; at most {LIMIT} are supported.")
        rows, start = _sort_by_cell(count, groups, strata)
        bare = [Labels(labels.names, None, labels.values) for labels in (groups, strata)]
        if times is None:
            return cls(bare[0], bare[1], rows, start)
        run_time, run_start, cell_run = _sort_by_time(rows, start, times)
        runs = _group_runs(len(groups.values), len(strata.values), run_time, cell_run)
        return cls(bare[0], bare[1], rows, start, run_time, run_start, cell_run, *runs)

    @property
    def size(self) -> Integers:
        """(strata, groups) number of anchors in each cell."""
        return np.diff(self.start).reshape(len(self.strata.values), len(self.groups.values))

    @property
    def pool_size(self) -> Integers:
        """(own | leaked, strata, groups) anchors of each cell, and of its stratum in all other groups."""
        return np.stack([self.size, self.size.sum(axis=1, keepdims=True) - self.size])

    def __len__(self) -> int:
        return int(self.start[-1])

    def focal_times(self, group: Integers, pick: Callable[[Integers], Integers]) -> NDArray[np.float64]:
        """Return one distinct time of each group; ``pick`` draws a number below each count given."""
        first = self._need(self.group_start)
        number = first[group] + pick(first[group + 1] - first[group])
        times: NDArray[np.float64] = self._need(self.run_time)[self._need(self.group_run)[number]]
        return times

    def all_focal_times(self, group: int) -> NDArray[np.float64]:
        """Return the distinct times of a group, ascending."""
        first, last = self._need(self.group_start)[group : group + 2]
        times: NDArray[np.float64] = self._need(self.run_time)[self._need(self.group_run)[first:last]]
        return times

    def anchor_times(self, group: Integers, pick: Callable[[Integers], Integers]) -> NDArray[np.float64]:
        """Return the time of one anchor of each group; ``pick`` draws a number below each count given."""
        cell = np.arange(len(self.strata.values))[:, None] * len(self.groups.values) + group
        end = np.cumsum(self.start[cell + 1] - self.start[cell], axis=0)
        number = pick(end[-1])
        stratum = (end <= number).sum(axis=0)
        last = np.take_along_axis(end, stratum[None], axis=0)[0]
        return self.time_of(self.start[stratum * len(self.groups.values) + group + 1] - last + number)

    def edges(self, cell: Integers, times: NDArray[np.float64]) -> Integers:
        """Return (edges, n) first place of each cell with time >= each of ``times`` (edges, n)."""
        cells = np.broadcast_to(cell, times.shape).ravel()
        first, last = self._need(self.cell_run)[cells], self._need(self.cell_run)[cells + 1]
        found = self._search(first, last, times.ravel(), False)
        places: Integers = self._need(self.run_start)[found].astype(np.int64)
        return places.reshape(times.shape)

    def window(self, cell: Integers, low: NDArray[np.float64], high: NDArray[np.float64]) -> Integers:
        """Return (2, n): the first place of each cell with time >= low, and with time > high."""
        first, last = self._need(self.cell_run)[cell], self._need(self.cell_run)[cell + 1]
        found = np.stack([self._search(first, last, low, False), self._search(first, last, high, True)])
        places: Integers = self._need(self.run_start)[found].astype(np.int64)
        return places

    def cell_of(self, place: Integers) -> Integers:
        """Return the cell of each place."""
        return np.searchsorted(self.start, place, side="right") - 1

    def time_of(self, place: Integers) -> NDArray[np.float64]:
        """Return the time of the anchor at each place, in hours."""
        run = np.searchsorted(self._need(self.run_start), place, side="right") - 1
        times: NDArray[np.float64] = self._need(self.run_time)[run]
        return times

    def need_values(self) -> AnchorValues:
        """Return the values of anchors."""
        return self._need(self.values)

    def need_frames(self) -> Frames:
        """Return the frames."""
        return self._need(self.frames)

    def need_weights(self) -> Integers:
        """Return the weights summed up."""
        return self._need(self.weight_sum)

    def _search(self, first: Integers, last: Integers, value: NDArray[np.float64], after: bool) -> Integers:
        """Binary search in many ranges of `run_time` at once: the first run >= value, or > value."""
        times = self._need(self.run_time)
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

    @staticmethod
    def _need[T](array: T | None) -> T:
        if array is None:
            raise InvalidInputError(
                "This layout lacks times, values, weights or frames; build it with the columns of the plan."
            )
        return array


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


def _sort_by_time(
    rows: Rows, start: Integers, times: NDArray[Any]
) -> tuple[NDArray[np.float64], Rows, Integers]:
    """Sort each cell's rows by time in place; return run times, run starts and each cell's first run."""
    found_times: list[NDArray[np.float64]] = []
    found_starts: list[Rows] = []
    cell_run = [0]
    for low, high in pairwise(start.tolist()):
        clock = _sorted_cell(rows[low:high], times)
        first = np.flatnonzero(np.concatenate([[high > low], clock[1:] != clock[:-1]]))
        found_times.append(clock[first].astype(np.float64))
        found_starts.append((first + low).astype(np.uint32))
        cell_run.append(cell_run[-1] + first.size)
    ends = np.array([start[-1]], dtype=np.uint32)
    return np.concatenate(found_times), np.concatenate([*found_starts, ends]), np.array(cell_run)


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


def _group_runs(
    groups: int, strata: int, run_time: NDArray[np.float64], cell_run: Integers
) -> tuple[Rows, Integers]:
    """Return one run for each distinct time of each group, ascending, and where each group's begin."""
    parts = []
    for group in range(groups):
        cells = range(group, groups * strata, groups)
        runs = np.concatenate(
            [np.arange(cell_run[cell], cell_run[cell + 1], dtype=np.uint32) for cell in cells]
        )
        parts.append(runs[np.unique(run_time[runs], return_index=True)[1]])
    return np.concatenate(parts), np.concatenate([[0], np.cumsum([part.size for part in parts])])

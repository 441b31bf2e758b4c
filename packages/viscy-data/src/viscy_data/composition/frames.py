"""Batches from few frames: first frames are drawn, then each is a demand.

Reading an image chunk costs far more than drawing a batch, and 128 anchors from 128 images read 128 chunks.
So a plan may say from how many *frames* (one time of one field of view) or fields of view a step takes its
anchors. That number is divided once among the strata and parts of a step: each needs as many as its largest
frames take to hold its anchors, and what is left goes where most anchors come from one frame. A step then
draws that many frames of each range, by the anchors they hold; a frame drawn twice is put apart. Counts are
spread evenly over the frames, none above its size. Where drawn frames hold too little, the smallest are
exchanged for larger ones of the same ranges.

A frame that is *held* stays for some visits of its group: each place of a step draws anew every so many
visits, and places take turns, so that a part of the frames is new each time. Cost: a binary search per frame.
"""

from dataclasses import dataclass, replace
from heapq import heapify, heapreplace

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.apart import Origins, Rule, put_apart
from viscy_data.composition.demands import Cells, Demands, Wanted, in_order, two_sides
from viscy_data.composition.focal import FocalTimes
from viscy_data.composition.keyed import Purpose
from viscy_data.composition.layout import AnchorLayout, Units
from viscy_data.composition.order import Steps
from viscy_data.composition.ranges import Ranges, expand
from viscy_data.errors import InvalidInputError

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Picks:
    """Frames, or fields of view, to draw, or drawn; all arrays are (picks,).

    Attributes
    ----------
    line
        What is wanted, by its line in `Wanted`.
    side
        0 for near, 1 for far; fields of view serve both sides and are near.
    cell, unit
        Cell, and the unit drawn.
    key
        64 random bits.
    """

    line: Integers
    side: Integers
    cell: Integers
    unit: Integers
    key: keyed.Words

    def __getitem__(self, which: Integers | NDArray[np.bool_]) -> "_Picks":
        return _Picks(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


class FrameDemands:
    """Turns what steps want into demands on frames.

    Parameters
    ----------
    layout, units
        The table, sorted by frames or fields of view, and these.
    focal
        Focal times; None without a window.
    budget
        (halves, sides, strata, groups) frames of each part of a step, from `frame_budget`.
    hold
        Visits of a group in which a frame stays.
    seed
        First word of the keys.
    """

    def __init__(
        self,
        layout: AnchorLayout,
        units: Units,
        focal: FocalTimes | None,
        budget: Integers,
        hold: int,
        seed: int,
    ) -> None:
        self._layout, self._units, self._focal, self._seed = layout, units, focal, seed
        self._budget, self._hold = budget, hold
        self._cells = Cells(layout)
        self._only_near = focal is not None and focal.only_near

    def of(self, epoch: int, steps: Steps, wanted: Wanted) -> Demands:
        """Return the demands of steps."""
        time = np.zeros(steps.number.size) if self._focal is None else self._focal.of(epoch, steps)
        time = time[wanted.step]  # (lines,)
        picks = self._drawn(steps, wanted, time)
        for side, for_both in ((0, False), (1, False), (0, True), (1, True)):
            picks = self._enlarged(wanted, picks, time, side, for_both=for_both)
        near_size, far_size, low, high = self._sizes(picks, time)
        near, far = two_sides(
            wanted.near,
            wanted.far,
            self._held(wanted, picks, near_size),
            self._held(wanted, picks, far_size),
            only_near=self._only_near,
        )
        start, end = self._units.start[picks.unit], self._units.start[picks.unit + 1]
        count = np.concatenate([_evenly(picks.line, near_size, near), _evenly(picks.line, far_size, far)])
        ranges = Ranges.joined([Ranges.whole(low, high), Ranges(start, end, low, high)])
        strata = len(self._layout.strata.values)
        pile = (wanted.half * strata + wanted.stratum)[picks.line]
        step, sides = wanted.step[picks.line], np.repeat([0, 1], picks.line.size)
        key = keyed.words(self._seed, Purpose.DRAW, epoch, steps.number)[step]
        keys = np.concatenate([keyed.words(key, picks.unit, one) for one in (0, 1)])
        none = np.zeros(count.size, dtype=np.int64)
        return in_order(Demands(np.tile(step, 2), np.tile(pile, 2), count, ranges, keys, none, none), sides)

    def _drawn(self, steps: Steps, wanted: Wanted, time: Floats) -> _Picks:
        """Draw as many frames as the budget says, those that stay longest first."""
        sides = self._budget.shape[1]
        asked = [wanted.near, wanted.far] if sides > 1 else [wanted.near + wanted.far]
        frames = np.stack(
            [
                np.where(count > 0, self._budget[wanted.half, side, wanted.stratum, wanted.group], 0)
                for side, count in enumerate(asked)
            ],
            axis=1,
        )
        line, nth = expand(frames.sum(axis=1))
        side = (nth >= frames[line, 0]).astype(np.int64)
        nth -= np.where(side == 1, frames[line, 0], 0)
        visit = steps.visit[wanted.step[line]]
        stagger = 0 if self._focal is not None else nth * self._hold // frames[line, side]
        turn = (visit + stagger) // self._hold
        begun = turn * self._hold - stagger  # the visit with which the frame began to stay
        order = np.lexsort((begun, line))
        line, side, nth, turn = line[order], side[order], nth[order], turn[order]
        half, stratum, group = wanted.half[line], wanted.stratum[line], wanted.group[line]
        # rounding batches beyond an epoch have frames of their own
        beyond = np.where(steps.is_beyond, steps.number, -1)[wanted.step[line]]
        key = keyed.words(self._seed, Purpose.FRAME, turn, 2 * half + side, stratum, group, nth)
        key = np.where(beyond < 0, key, keyed.words(key, beyond))
        cell = self._cell(wanted, line, key, time)
        ranges = self._ranges(cell, side, time[line])
        side = np.where(ranges.size > 0, side, 1 - side)  # a side that holds nothing leaves all to the other
        ranges = self._ranges(cell, side, time[line])
        in_slots = ranges.in_slots(self._layout.slots)
        place = in_slots.place(keyed.below(keyed.words(key, 1), in_slots.size), np.arange(line.size))
        place = place if self._layout.slots is None else self._layout.slots.place(place)
        rule = Rule(self._unit)
        place = put_apart(
            [rule],
            line,
            place,
            lambda which: Origins(ranges[which], keyed.words(key[which], 2)),
            self._layout.slots,
        )
        return self._once(_Picks(line, side, cell, self._unit(place), keyed.words(key, 4)))

    def _cell(self, wanted: Wanted, line: Integers, key: keyed.Words, time: Floats) -> Integers:
        """Return the cell of each pick: the group's own, or one of another group, drawn by size."""
        groups = len(self._layout.groups.values)
        cell = wanted.stratum[line] * groups + wanted.group[line]
        leaked = np.flatnonzero(wanted.half[line])
        if leaked.size:
            elsewhere = self._cells.elsewhere(wanted.stratum, wanted.group)
            of = line[leaked]
            number = keyed.below(keyed.words(key[leaked], 0), elsewhere.size[of])
            cell[leaked] = self._layout.cell_of(elsewhere.place(number, of))
            if self._focal is not None and self._only_near:
                cell[leaked] = self._cells.with_window(
                    cell[leaked], wanted.group, elsewhere, of, keyed.words(key[leaked], 3), self._focal, time
                )
        return cell

    def _ranges(self, cell: Integers, side: Integers, time: Floats) -> Ranges:
        """Return the places whose frames may be drawn."""
        start, end = self._layout.start[cell], self._layout.start[cell + 1]
        if self._focal is None or self._units.are_fovs:
            return Ranges.whole(start, end)
        low, high = self._focal.window(cell, time)
        near = side == 0
        return Ranges(np.where(near, low, start), np.where(near, high, end), np.where(near, high, low), high)

    def _unit(self, place: Integers) -> Integers:
        return np.searchsorted(self._units.start, place, side="right") - 1

    def _once(self, picks: _Picks) -> _Picks:
        """Leave out units that a line has already."""
        order = np.lexsort((np.arange(picks.line.size), picks.unit, picks.line))
        pair = np.stack([picks.line, picks.unit])[:, order]
        first = np.append(True, (pair[:, 1:] != pair[:, :-1]).any(axis=0))[: order.size]
        return picks[np.sort(order[first])]

    def _sizes(self, picks: _Picks, time: Floats) -> tuple[Integers, Integers, Integers, Integers]:
        """Return how many anchors of each pick are near and far, and where its near ones begin and end."""
        start, end = self._units.start[picks.unit], self._units.start[picks.unit + 1]
        if self._focal is not None and self._units.are_fovs:
            low, high = self._focal.window(picks.unit, time[picks.line])
        else:
            low, high = start, np.where(picks.side == 0, end, start)
        return high - low, end - start - (high - low), low, high

    def _held(self, wanted: Wanted, picks: _Picks, size: Integers) -> Integers:
        """Return (lines,) the anchors that the picks of each line hold, of ``size`` (picks,)."""
        held = np.zeros(wanted.near.size, dtype=np.int64)
        np.add.at(held, picks.line, size)
        return held

    def _enlarged(self, wanted: Wanted, picks: _Picks, time: Floats, side: int, *, for_both: bool) -> _Picks:
        """Exchange small picks of lines that hold too little on one side, as long as that helps.

        With ``for_both`` the side has to give what the other lacks, too.
        """
        near_size, far_size, _, _ = self._sizes(picks, time)
        size, asked = (near_size, wanted.near) if side == 0 else (far_size, wanted.far)
        if side == 1 and self._units.are_fovs:  # a field of view serves both sides
            size, asked = near_size + far_size, wanted.near + wanted.far
        if for_both and not self._only_near:
            other = self._held(wanted, picks, near_size + far_size - size)
            asked = np.maximum(asked, wanted.near + wanted.far - other)
        short = np.flatnonzero(self._held(wanted, picks, size) < asked)
        if not short.size:
            return picks
        unit = picks.unit.copy()
        for line in short.tolist():
            mine = np.flatnonzero((picks.line == line) & ((picks.side == side) | self._units.are_fovs))
            lacking = int(asked[line] - size[mine].sum())
            for pick in mine[np.argsort(size[mine], kind="stable")].tolist():
                others, sizes = self._others(picks, unit, pick, mine, time[line], side)
                some = sizes > size[pick]
                if lacking <= 0:
                    break
                if not some.any():
                    continue
                # any that holds enough, by the anchors it holds; else the largest
                enough = some & (sizes >= min(size[pick] + lacking, sizes.max()))
                before = np.cumsum(np.where(enough, sizes, 0))
                at = int(
                    np.searchsorted(before, keyed.below(picks.key[pick], before[-1]).item(), side="right")
                )
                lacking -= int(sizes[at] - size[pick])
                unit[pick] = others[at]
        return replace(picks, unit=unit)

    def _others(
        self, picks: _Picks, unit: Integers, pick: int, mine: Integers, time: float, side: int
    ) -> tuple[Integers, Integers]:
        """Return the units that may take a pick's place, and the anchors that each holds on a side."""
        cell = picks.cell[pick]
        others = np.arange(self._units.first[cell], self._units.first[cell + 1])
        others = others[~np.isin(others, unit[mine])]
        start, end = self._units.start[others], self._units.start[others + 1]
        if self._focal is None:
            return others, end - start
        if self._units.are_fovs:
            near, mine_near = self._near(others, time), self._near(unit[[pick]], time)
            return others, near if side == 0 else np.where(near >= mine_near, end - start, 0)
        low, high = self._focal.window(np.array([cell]), np.array([time]))
        is_inside = (start >= low) & (start < high)
        return others, np.where(is_inside == (side == 0), end - start, 0)

    def _near(self, fov: Integers, time: float) -> Integers:
        """Return how many anchors of fields of view (n,) are near a time."""
        low, high = self._focal.window(fov, np.full(fov.size, time)) if self._focal else (fov, fov)
        return high - low


def frame_budget(layout: AnchorLayout, units: Units, asked: Integers, most: int, name: str) -> Integers:
    """Return (halves, sides, strata, groups) frames of each part of a step.

    Parameters
    ----------
    asked
        (halves, sides, strata, groups) the most anchors that a step takes of each.
    most
        Frames of a step.
    name
        What messages call this number.

    Raises
    ------
    InvalidInputError
        Fewer than some group's steps need; names the least number that would do.
    """
    least = _least(units, asked)
    needed = least.sum(axis=(0, 1, 2))
    if int(needed.max()) > most:
        group = int(needed.argmax())
        where = np.argwhere(least[..., group]).tolist()
        of = [f" of {value}" * (value is not None) for value in layout.strata.values]
        needs = (f"{least[*at, group]} for {asked[*at, group]} anchors{of[at[2]]}" for at in where)
        shown = ", ".join(needs)
        of_group = f"of {layout.groups.values[group]!s}" if layout.groups.names else "of the table"
        raise InvalidInputError(
            f"{name}={most} is less than the least number of {needed.max()} that batches {of_group} need: "
            f"{shown}. Set {name} to at least {needed.max()}, take smaller batches, or switch an axis off."
        )
    found, there = least.copy(), units.start.size - 1
    for group in range(found.shape[-1]):
        _share(found[..., group], asked[..., group], min(most, there))
    return found


def _least(units: Units, asked: Integers) -> Integers:
    """Return how many of its largest frames hold what is asked of a cell; 1 of what leaks."""
    least = (asked > 0).astype(np.int64)
    size = np.diff(units.start)
    groups = asked.shape[-1]
    for cell, (low, high) in enumerate(zip(units.first[:-1].tolist(), units.first[1:].tolist(), strict=True)):
        stratum, group = divmod(cell, groups)
        held = np.cumsum(-np.sort(-size[low:high]))
        for side in np.flatnonzero(asked[0, :, stratum, group]).tolist():
            count = asked[0, side, stratum, group]
            least[0, side, stratum, group] = min(np.searchsorted(held, count) + 1, max(high - low, 1))
    return least


def _share(found: Integers, asked: Integers, most: int) -> None:
    """Give what is left, one by one, where most anchors come from one frame."""
    heap = [(-asked[at] / found[at], at) for at in map(tuple, np.argwhere(found).tolist())]
    heapify(heap)
    for _ in range(most - int(found.sum()) if heap else 0):
        at = heap[0][1]
        found[at] += 1
        heapreplace(heap, (-asked[at] / found[at], at))


def _evenly(line: Integers, size: Integers, count: Integers) -> Integers:
    """Share what lines give (lines,) among their picks, as evenly as sizes (picks,) let.

    What all picks of a line together hold too little of, each gives as often as it takes.
    """
    held = np.zeros(count.size, dtype=np.int64)
    np.add.at(held, line, size)
    whole, left = np.divmod(count, np.maximum(held, 1))
    order = np.lexsort((size, line))
    picks = np.bincount(line, minlength=count.size)
    first = np.cumsum(picks) - picks
    given = size * whole[line]
    for nth in range(int(picks.max(initial=0))):
        some = np.flatnonzero(picks > nth)
        at = order[first[some] + nth]
        # smaller picks first: what they lack is shared among the larger ones
        share = np.minimum(size[at], -(-left[some] // (picks[some] - nth)))
        given[at] += share
        left[some] -= share
    return given

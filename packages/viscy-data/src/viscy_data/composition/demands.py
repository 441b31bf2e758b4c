"""Demands: how many anchors of which range each step takes.

After counting, a step wants so many anchors of a stratum, of its own group or leaked, near its focal time or
far from it. This module says where each number comes from: own anchors from the cell of the group and
stratum; leaked ones from cells of other groups that are drawn in proportion to their sizes; near ones from
the window inside a cell, far ones from around it. A side that holds too few gives what it has and the other
side of the same cell the rest. What comes out is one line per (step, part, cell, side), ready to be drawn. It
costs a binary search per line, and a sort of the leaked anchors.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.focal import FocalTimes
from viscy_data.composition.keyed import Purpose
from viscy_data.composition.layout import AnchorLayout
from viscy_data.composition.order import Steps
from viscy_data.composition.ranges import REDRAWS, Ranges, expand

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Wanted:
    """What steps want of strata: lines by (step, own | leaked, stratum), in this order; all are (lines,).

    Attributes
    ----------
    step
        Which of the steps.
    half
        0 for own anchors, 1 for leaked ones.
    stratum, group
        The stratum wanted, and the group of the step.
    near, far
        Anchors wanted from either side of the window; without one all are near.
    """

    step: Integers
    half: Integers
    stratum: Integers
    group: Integers
    near: Integers
    far: Integers

    @classmethod
    def of(cls, steps: Steps, counts: Integers, sides: int) -> "Wanted":
        """Take counts (steps, parts, strata); a part is a side of a half."""
        by_side = counts.reshape(len(counts), -1, sides, counts.shape[2])
        step, half, stratum = np.nonzero(by_side.sum(axis=2))
        near, far = by_side[step, half, 0, stratum], by_side[step, half, -1, stratum]
        return cls(step, half, stratum, steps.group[step], near, far if sides > 1 else np.zeros_like(near))

    def __getitem__(self, which: Integers | NDArray[np.bool_]) -> "Wanted":
        return Wanted(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Demands:
    """Draws from ranges, step after step; all arrays are (lines,).

    Attributes
    ----------
    step, pile
        Which of the steps draws, and from which of its piles, (own | leaked, stratum) as one number, the
        anchors are dealt out.
    count
        Anchors to draw.
    ranges
        Where they come from, in places.
    key
        64 random bits of the range; the number of the pass is mixed in.
    before
        What the range gave before. It is known for whole cells that are drawn in passes over epochs; all
        other ranges are new in every step and gave nothing.
    most
        The most that a step takes from a range drawn in passes over epochs; 0 for all others.
    """

    step: Integers
    pile: Integers
    count: Integers
    ranges: Ranges
    key: keyed.Words
    before: Integers
    most: Integers

    def __getitem__(self, which: Integers | NDArray[np.bool_]) -> "Demands":
        return Demands(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


def two_sides(
    near: Integers, far: Integers, near_size: Integers, far_size: Integers, *, only_near: bool
) -> tuple[Integers, Integers]:
    """Return what either side gives of what is wanted of it (lines,).

    A side that holds less gives all it has, the other the rest. Where both together hold less, each of their
    anchors comes the floor or the ceiling of wanted / size times. With ``only_near`` the far side gives
    nothing.

    Examples
    --------
    >>> one = lambda *numbers: [np.array([number]) for number in numbers]
    >>> [side.item() for side in two_sides(*one(7, 3, 5, 100), only_near=False)]
    [5, 5]
    >>> [side.item() for side in two_sides(*one(7, 3, 2, 2), only_near=False)]
    [6, 4]
    """
    wanted = near + far
    if only_near:
        return wanted, np.zeros_like(wanted)
    whole, rest = np.divmod(wanted, np.maximum(near_size + far_size, 1))
    # of what is left after whole turns: near as asked, but no more than there is, and no less than far lacks
    from_near = np.minimum(np.maximum(near - whole * near_size, 0), np.minimum(rest, near_size))
    from_near = np.maximum(from_near, rest - far_size)
    from_near += whole * near_size
    return from_near, wanted - from_near


class CellDemands:
    """Turns what steps want into demands on cells and windows.

    Parameters
    ----------
    layout
        The table, sorted.
    focal
        Focal times; None without a window.
    most
        (strata, groups) the most own anchors that a step takes of each cell.
    before
        Returns (steps, strata) what the steps' groups took of their own cells before.
    seed
        First word of the keys.
    """

    def __init__(
        self,
        layout: AnchorLayout,
        focal: FocalTimes | None,
        most: Integers,
        before: Callable[[Steps], Integers],
        seed: int,
    ) -> None:
        self._layout, self._focal, self._before, self._seed = layout, focal, before, seed
        self._cells = Cells(layout)
        # passes over epochs: cells that hold what a step takes, drawn whole, anchor by anchor
        size, most = np.diff(layout.start), most.ravel()
        in_passes = (size >= most) & (focal is None) & (layout.slots is None)
        self._most = np.where(in_passes, most, 0)
        self._pass_key = keyed.words(seed, Purpose.PASS, np.arange(size.size))

    def of(self, epoch: int, steps: Steps, wanted: Wanted) -> Demands:
        """Return the demands of steps."""
        key = keyed.words(self._seed, Purpose.DRAW, epoch, steps.number)
        own = self._cells.own(wanted)
        time = None if self._focal is None else self._focal.of(epoch, steps)
        if wanted.half.any():
            leak_key = keyed.words(self._seed, Purpose.LEAK, epoch, steps.number)
            leaked = self._leaked(wanted[wanted.half == 1], leak_key, time)
            step, pile, cell, near, far = (np.concatenate([a, b]) for a, b in zip(own, leaked, strict=True))
        else:
            step, pile, cell, near, far = own
        start, end = self._layout.start[cell], self._layout.start[cell + 1]
        if self._focal is None or time is None:
            ranges, count, side = Ranges.whole(start, end), near, np.zeros_like(step)
            key = keyed.words(key[step], cell)
        else:
            low, high = self._focal.window(cell, time[step])
            sides = two_sides(
                near, far, high - low, end - start - (high - low), only_near=self._focal.only_near
            )
            # (lines, 2) flattened: near and far of each line, one after the other
            step, pile, cell = (np.repeat(one, 2) for one in (step, pile, cell))
            count = np.stack(sides, axis=1).ravel()
            edges = ((low, start), (high, end), (high, low), (high, high))
            ranges = Ranges(*(np.stack(pair, axis=1).ravel() for pair in edges))
            side = np.arange(step.size) & 1
            key = keyed.words(key[step], cell, side)
        nothing = np.zeros_like(step)
        demands = Demands(step, pile, count, ranges, key, before=nothing, most=nothing)
        if self._most.any():
            demands = self._in_passes(steps, demands, cell)
        return in_order(demands, side)

    def _in_passes(self, steps: Steps, demands: Demands, cell: Integers) -> Demands:
        """Let own cells be drawn in passes over epochs, where they can be."""
        strata = len(self._layout.strata.values)
        is_own = (demands.pile < strata) & ~steps.is_beyond[demands.step]
        most = np.where(is_own, self._most[cell], 0)
        given = self._before(steps)[demands.step, demands.pile % strata]
        key = np.where(most > 0, self._pass_key[cell], demands.key)
        return replace(demands, key=key, before=np.where(most > 0, given, 0), most=most)

    def _leaked(
        self, wanted: Wanted, key: keyed.Words, time: Floats | None
    ) -> tuple[Integers, Integers, Integers, Integers, Integers]:
        """Return lines by (step, pile, cell) of what leaks in: step, pile, cell, near and far anchors."""
        line, nth = expand(wanted.near + wanted.far)
        stratum, group = wanted.stratum, wanted.group
        elsewhere = self._cells.elsewhere(stratum, group)
        leak_key = keyed.words(key[wanted.step], stratum)
        # without repeats as long as there are places; then each comes once more
        held = elsewhere.size
        number = keyed.permute(nth % held[line], held[line], keyed.words(leak_key[line], nth // held[line]))
        cell = self._layout.cell_of(elsewhere.place(number, line))
        if self._focal is not None and self._focal.only_near and time is not None:
            cell = self._cells.with_window(
                cell,
                group,
                elsewhere,
                line,
                keyed.words(leak_key[line], -1 - nth),
                self._focal,
                time[wanted.step],
            )
        is_near = nth < wanted.near[line]
        # (anchors,) line and cell as one number; sorted, the anchors of a line from one cell are neighbours
        pair = line * (len(self._layout.start) - 1) + cell
        order = np.argsort(pair, kind="stable")
        first = np.flatnonzero(np.append(True, np.diff(pair[order]) != 0))
        near = np.add.reduceat(is_near[order], first, dtype=np.int64)
        total = np.diff(np.append(first, pair.size))
        of, cell = line[order[first]], cell[order[first]]
        strata = len(self._layout.strata.values)
        return wanted.step[of], strata + stratum[of], cell, near, total - near


class Cells:
    """Where cells are, and how cells of other groups are drawn."""

    def __init__(self, layout: AnchorLayout) -> None:
        self._layout, self._groups = layout, len(layout.groups.values)

    def own(self, wanted: Wanted) -> tuple[Integers, Integers, Integers, Integers, Integers]:
        """Return step, pile, cell, near and far anchors of the own lines."""
        mine = wanted[wanted.half == 0] if wanted.half.any() else wanted
        return mine.step, mine.stratum, mine.stratum * self._groups + mine.group, mine.near, mine.far

    def elsewhere(self, stratum: Integers, group: Integers) -> Ranges:
        """Return the places of a stratum outside a group."""
        start, first = self._layout.start, stratum * self._groups
        return Ranges(
            start[first], start[first + self._groups], start[first + group], start[first + group + 1]
        )

    def with_window(
        self,
        cell: Integers,
        group: Integers,
        elsewhere: Ranges,
        line: Integers,
        key: keyed.Words,
        focal: FocalTimes,
        time: Floats,
    ) -> Integers:
        """Draw the cells anew that have no anchor in the window; some other cell of the stratum has one.

        Parameters
        ----------
        cell, line, key
            (draws,) cell drawn, its line, and 64 random bits.
        group, elsewhere, time
            (lines,) group of the step, places of the stratum outside it, and focal time.
        """
        cell, time = cell.copy(), time[line]
        waiting = np.flatnonzero(self._is_empty(cell, focal, time))
        for turn in range(REDRAWS):
            if not waiting.size:
                return cell
            of = line[waiting]
            number = keyed.below(keyed.words(key[waiting], turn), elsewhere.size[of])
            cell[waiting] = self._layout.cell_of(elsewhere.place(number, of))
            waiting = waiting[self._is_empty(cell[waiting], focal, time[waiting])]
        for draw in map(int, waiting):
            first = int(cell[draw]) // self._groups * self._groups
            own = first + int(group[line[draw]])
            others = [one for one in range(first, first + self._groups) if one != own]
            held = np.array([focal.held(one, time[draw : draw + 1]).item() for one in others])
            size = np.diff(self._layout.start)[others] * (held > 0)
            drawn = keyed.below(keyed.words(key[draw], REDRAWS), size.sum())
            cell[draw] = others[int(np.searchsorted(np.cumsum(size), drawn.item(), side="right"))]
        return cell

    def _is_empty(self, cell: Integers, focal: FocalTimes, time: Floats) -> NDArray[np.bool_]:
        units = self._layout.units
        if units is None or not units.are_fovs:
            low, high = focal.window(cell, time)
            return np.equal(low, high)
        pairs = zip(cell.tolist(), time[:, None], strict=True)
        return np.array([not focal.held(one, at).any() for one, at in pairs], dtype=np.bool_)


def in_order(demands: Demands, side: Integers) -> Demands:
    """Return demands that take anything, by step, pile and ``side`` (lines,): near before far."""
    some = np.flatnonzero(demands.count)
    piles = int(demands.pile.max(initial=0)) + 1
    place = (demands.step[some] * piles + demands.pile[some]) * 2 + side[some]
    if (place[1:] >= place[:-1]).all():
        return demands if some.size == demands.count.size else demands[some]
    return demands[some[np.argsort(place, kind="stable")]]

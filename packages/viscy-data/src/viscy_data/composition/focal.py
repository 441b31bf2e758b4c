"""The focal time of each step: drawn from the times of its group.

A focal window follows one time, the same for all strata and for what leaks in. It is drawn evenly from the
distinct times of the batch's group, or each time in proportion to the anchors at it. Where nothing may come
from outside the window, a time at which some stratum has no anchor in the window cannot be focal: such times
are left out once, here, and a group that has no other is refused. Cost: a binary search per step; building
looks at each time of each cell only where nothing may come from outside.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.keyed import Purpose
from viscy_data.composition.layout import AnchorLayout, Clock
from viscy_data.composition.order import Steps
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.shares import TableShares

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class FocalTimes:
    """Draws focal times, and finds the windows around them.

    Parameters
    ----------
    plan, layout, shares
        A plan with a window, a table with a clock, and the exact shares of the one on the other.
    clock
        The layout's clock.
    seed
        First word of the keys.

    Attributes
    ----------
    left_out
        (groups,) times that cannot be focal.
    empty
        (groups,) whether no time of the group can.
    """

    def __init__(
        self, plan: BatchPlan, layout: AnchorLayout, clock: Clock, shares: TableShares, seed: int
    ) -> None:
        focus, groups = plan.focus, len(layout.groups.values)
        self._layout, self._clock, self._seed, self._reach = layout, clock, seed, plan._reach
        self._hold = 1 if plan.locality is None else plan.locality.hold
        self.only_near = focus is not None and focus.global_fraction == 0
        self._run, self._first = clock.group_run, clock.group_start
        self._all: dict[int, tuple[Floats, Integers]] = {}  # by stratum: all times, anchors before
        self.left_out = np.zeros(groups, dtype=np.int64)
        if self.only_near:
            kept = [self._can_be_focal(group, shares) for group in range(groups)]
            self.left_out = np.array([(~one).sum() for one in kept])
            self._run = self._run[np.concatenate(kept)]
            self._first = np.concatenate([[0], np.cumsum([one.sum() for one in kept])])
        self.empty = np.diff(self._first) == 0
        self._anchors = self._sum_anchors() if focus is not None and focus.times == "by_anchor" else None

    def of(self, epoch: int, steps: Steps) -> Floats:
        """Return (steps,) focal times; with frames that stay, a time stays as long."""
        first, last = self._first[steps.group], self._first[steps.group + 1]
        key: tuple[object, ...] = (epoch, steps.number)
        if self._hold > 1:
            key = (-1, steps.group, steps.visit // self._hold)
        bits = keyed.words(self._seed, Purpose.FOCAL_TIME, *key)  # type: ignore[arg-type]  # integers, all of them
        if self._anchors is None:
            number = first + keyed.below(bits, last - first)
        else:
            before = self._anchors[first]
            drawn = before + keyed.below(bits, self._anchors[last] - before)
            number = np.searchsorted(self._anchors, drawn, side="right") - 1
        time: Floats = self._clock.run_time[self._run[number]]
        return time

    def times(self, group: int) -> Floats:
        """Return the times of a group that can be focal, ascending."""
        return self._clock.run_time[self._run[self._first[group] : self._first[group + 1]]]

    def window(self, which: Integers, time: Floats) -> tuple[Integers, Integers]:
        """Return the first place in the window of each cell (or field of view), and the first after it."""
        return self._clock.window(which, time - self._reach, time + self._reach)

    def ranges_of(self, cell: int) -> Integers:
        """Return what has windows of its own in a cell: the cell itself, or its fields of view."""
        units = self._layout.units
        if units is None or not units.are_fovs:
            return np.array([cell])
        return np.arange(units.first[cell], units.first[cell + 1])

    def held(self, cell: int, times: Floats) -> Integers:
        """Return (times,) how many anchors of a cell are in the window around each time."""
        which = self.ranges_of(cell)
        found = np.zeros(times.size, dtype=np.int64)
        for one in which.tolist():
            low, high = self.window(np.full(times.size, one), times)
            found += high - low
        return found

    def _can_be_focal(self, group: int, shares: TableShares) -> Flags:
        """Return which times of a group have an anchor of every stratum asked for in their window."""
        times = self._clock.times_of_group(group)
        found = np.ones(times.size, dtype=np.bool_)
        groups = len(self._layout.groups.values)
        for stratum in _asked(shares.own[group]):
            found &= self.held(stratum * groups + group, times) > 0
        for stratum in _asked(None if shares.leaked is None else shares.leaked[group]):
            found &= self._held_by_all(stratum, times) > self.held(stratum * groups + group, times)
        return found

    def _held_by_all(self, stratum: int, times: Floats) -> Integers:
        """Return (times,) how many anchors of a stratum, of all groups, the window of each time holds."""
        if stratum not in self._all:
            groups, units = len(self._layout.groups.values), self._layout.units
            edges = np.array([stratum * groups, (stratum + 1) * groups])
            edges = edges if units is None or not units.are_fovs else units.first[edges]
            low, high = self._clock.first_run[edges]
            time = self._clock.run_time[low:high]
            order = np.argsort(time, kind="stable")
            size = np.diff(self._clock.run_start[low : high + 1].astype(np.int64))[order]
            self._all[stratum] = time[order], np.concatenate([[0], np.cumsum(size)])
        time, before = self._all[stratum]
        after = before[np.searchsorted(time, times + self._reach, side="right")]
        found: Integers = after - before[np.searchsorted(time, times - self._reach)]
        return found

    def _sum_anchors(self) -> Integers:
        """Return (times + 1,) anchors at the times before each one, summed up over all groups."""
        layout, clock = self._layout, self._clock
        groups = len(layout.groups.values)
        size = np.diff(clock.run_start.astype(np.int64))
        group = layout.cell_of(clock.run_start[:-1].astype(np.int64)) % groups
        # (runs,) sorted by group and time, with the anchors before each
        order = np.lexsort((clock.run_time, group))
        before = np.concatenate([[0], np.cumsum(size[order])])
        pairs = np.stack([group[order].astype(np.float64), clock.run_time[order]], axis=1)
        new = np.append(True, (pairs[1:] != pairs[:-1]).any(axis=1))
        begins = np.append(np.flatnonzero(new), order.size)
        anchors = np.diff(before[begins])  # (all distinct times of all groups,)
        place = np.zeros(order.size, dtype=np.int64)
        place[order] = np.cumsum(new) - 1
        return np.concatenate([[0], np.cumsum(anchors[place[self._run]])])


def _asked(shares: Sequence[object] | None) -> list[int]:
    return [] if shares is None else [stratum for stratum, share in enumerate(shares) if share]

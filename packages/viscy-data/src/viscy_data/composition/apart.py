"""What may not come together is put apart: the one place that knows conflicts.

Two anchors of a step may be in each other's way: the same anchor drawn twice where one pass ended and the
next began, two cells of one lineage where a cap allows one. Avoiding that while drawing would need a way of
drawing for each combination of rules. So everything is drawn first, and *rules* are applied afterwards: in
draw order anchors stay as long as every rule lets them; each later one is redrawn from its own range (its
cell, its side of the window, its frame), so that all counts remain. A few redraws are random and even over
slots; then some of the range is searched; what still has no place keeps its anchor and is counted by the
report. Cost: one sort of the anchors drawn for each rule, and binary searches for the few that are redrawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.ranges import REDRAWS, Ranges, Slots, rank_in_run

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

SEARCHED: Final = 1024
"""Places of a range that are looked at where redraws found none."""


@dataclass(frozen=True)
class Rule:
    """At most ``count`` anchors of a value may come together.

    Attributes
    ----------
    code
        Returns the value, an integer >= 0, of the anchor at each place.
    count
        Anchors of a value in a unit.
    hours, min_hours
        Returns the time of the anchor at each place; anchors so far apart do not count against each other.
    """

    code: Callable[[Integers], NDArray[np.integer]]
    count: int = 1
    hours: Callable[[Integers], Floats] | None = None
    min_hours: float = 0.0


@dataclass(frozen=True)
class Origins:
    """Where anchors come from: their ranges, in places, and 64 random bits for each; (anchors,)."""

    ranges: Ranges
    key: keyed.Words

    def __getitem__(self, which: Integers | Flags) -> "Origins":
        return Origins(self.ranges[which], self.key[which])


def put_apart(
    rules: Sequence[Rule],
    unit: Integers,
    place: Integers,
    origins: Callable[[Integers], Origins],
    slots: Slots | None = None,
) -> Integers:
    """Redraw what may not come together.

    Parameters
    ----------
    rules
        What all anchors of a unit obey.
    unit, place
        (anchors,) unit that each belongs to, and its place in the layout, in draw order.
    origins
        Tells where the anchors with these numbers come from.
    slots
        What redraws are even over; None: places.

    Returns
    -------
    (anchors,) places.
    """
    held = [_Held(rule) for rule in rules]
    waiting = np.flatnonzero(~_admit(held, unit, place))
    if not waiting.size:
        return place
    place, origin = place.copy(), origins(waiting)
    in_slots = origin.ranges.in_slots(slots)
    for turn in range(REDRAWS):
        number = keyed.below(keyed.words(origin.key, turn), in_slots.size)
        drawn = in_slots.place(number, np.arange(number.size))
        drawn = drawn if slots is None else slots.place(drawn)
        admitted = _admit(held, unit[waiting], drawn)
        place[waiting[admitted]] = drawn[admitted]
        waiting, origin, in_slots = waiting[~admitted], origin[~admitted], in_slots[~admitted]
        if not waiting.size:
            return place
    return _search(held, unit, place, waiting, origin)


def over_cap(rule: Rule, unit: Integers, place: Integers) -> int:
    """Return how many anchors a rule forbids beside those before them in their units."""
    return int((~_admit([_Held(rule)], unit, place)).sum())


def _search(
    held: "Sequence[_Held]", unit: Integers, place: Integers, waiting: Integers, origin: Origins
) -> Integers:
    """Look at some places of each range at once; a range that gave none to a unit is not asked again."""
    spent = set()
    size = origin.ranges.size
    for nth, anchor in enumerate(waiting.tolist()):
        mine = (int(unit[anchor]), int(origin.ranges.start[nth]), int(origin.ranges.end[nth]))
        if mine in spent:
            continue
        looked = np.arange(min(int(size[nth]), SEARCHED))
        number = keyed.permute(looked, size[nth], keyed.words(origin.key[nth], REDRAWS))
        candidates = origin.ranges.place(number, np.full(looked.size, nth))
        units = np.full(looked.size, unit[anchor])
        free = candidates[~np.any([one.is_full(units, candidates) for one in held], axis=0)]
        if free.size:
            place[anchor] = free[0]
            for one in held:
                one.add(unit[anchor : anchor + 1], place[anchor : anchor + 1])
        else:
            spent.add(mine)
    return place


def _admit(held: "Sequence[_Held]", unit: Integers, place: Integers) -> Flags:
    """Let in, in this order, all that no rule forbids beside those held or let in before; return which."""
    admitted = np.zeros(place.size, dtype=np.bool_)
    waiting = np.arange(place.size)
    while waiting.size:
        at, of = place[waiting], unit[waiting]
        full = np.zeros(waiting.size, dtype=np.bool_)
        joins = np.ones(waiting.size, dtype=np.bool_)
        for one in held:
            is_full, has_room = one.room(of, at)
            full |= is_full
            joins &= has_room
        joins &= ~full
        admitted[waiting[joins]] = True
        for one in held:
            one.add(of[joins], at[joins])
        waiting = waiting[~joins & ~full]
    return admitted


class _Held:
    """The anchors that units hold, as sorted pairs of unit and value, with their times."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._pair = np.empty(0, dtype=np.uint64)
        self._hours = np.empty(0)

    def add(self, unit: Integers, place: Integers) -> None:
        """Hold more anchors."""
        if not unit.size:
            return
        pair = np.concatenate([self._pair, self._pairs(unit, place)])
        if self._rule.hours is None:
            pair.sort()
            self._pair = pair
            return
        order = np.argsort(pair, kind="stable")
        self._pair = pair[order]
        self._hours = np.concatenate([self._hours, self._rule.hours(place)])[order]

    def is_full(self, unit: Integers, place: Integers) -> Flags:
        """Return which of these anchors may not join their units."""
        return self._count(self._pairs(unit, place), place) >= self._rule.count

    def room(self, unit: Integers, place: Integers) -> tuple[Flags, Flags]:
        """Return which may not join, and which may whatever those before them do."""
        pair = self._pairs(unit, place)
        there = self._count(pair, place)
        order = np.argsort(pair, kind="stable")
        before = np.empty(pair.size, dtype=np.int64)
        before[order] = rank_in_run(pair[order])
        return there >= self._rule.count, there + before < self._rule.count

    def _pairs(self, unit: Integers, place: Integers) -> NDArray[np.uint64]:
        return (unit.astype(np.uint64) << np.uint64(32)) | self._rule.code(place).astype(np.uint64)

    def _count(self, pair: NDArray[np.uint64], place: Integers) -> Integers:
        """Return how many held anchors count against each of these."""
        if not self._pair.size:
            return np.zeros(pair.size, dtype=np.int64)
        low = np.searchsorted(self._pair, pair)
        high = np.searchsorted(self._pair, pair, side="right")
        if self._rule.hours is None:
            return high - low
        found = np.zeros(pair.size, dtype=np.int64)
        mine = self._rule.hours(place)
        for nth in range(int((high - low).max(initial=0))):
            there = np.minimum(low + nth, self._pair.size - 1)
            near = np.abs(self._hours[there] - mine) < self._rule.min_hours
            found += (low + nth < high) & near
        return found

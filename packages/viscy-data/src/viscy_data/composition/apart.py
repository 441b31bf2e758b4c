"""What may not come together is put apart: the one place that knows conflicts.

Two anchors of a step may be in each other's way: the same anchor drawn twice where one pass ended and the
next began, two cells of one lineage where a cap allows one. Avoiding that while drawing would need a way of
drawing for each combination of rules. So everything is drawn first, and *rules* are applied afterwards: in
draw order anchors stay as long as every rule lets them; each later one is redrawn from its own range (its
cell, its side of the window, its frame), so that all counts remain. A few redraws are random and even over
slots; then some of the range is searched, and one anchor that is in the way may move inside its own; what
still has no place keeps its anchor and is counted by the report. Cost: one sort of the anchors drawn for each
rule, and binary searches for the few that are redrawn; a search looks at values of one step only.
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
"""Places of a range that are looked at closely where redraws found none."""
SCANNED: Final = 1 << 20
"""Places of a range whose values are looked at where these found none."""
MOVED: Final = 8
"""Anchors in the way that are tried elsewhere."""


@dataclass(frozen=True)
class Rule:
    """At most ``count`` anchors of a value may come together.

    Attributes
    ----------
    code
        Returns the value, an integer >= 0, of the anchor at each place.
    count
        Anchors of a value in a owner.
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
    owner: Integers,
    place: Integers,
    origins: Callable[[Integers], Origins],
    slots: Slots | None = None,
) -> Integers:
    """Redraw what may not come together.

    Parameters
    ----------
    rules
        What all anchors of a owner obey.
    owner, place
        (anchors,) owner that each belongs to, and its place in the layout, in draw order.
    origins
        Tells where the anchors with these numbers come from.
    slots
        What redraws are even over; None: places.

    Returns
    -------
    (anchors,) places.
    """
    held = [_Held(rule) for rule in rules]
    waiting = np.flatnonzero(~_admit(held, owner, place))
    if not waiting.size:
        return place
    place, origin = place.copy(), origins(waiting)
    in_slots = origin.ranges.in_slots(slots)
    for turn in range(REDRAWS):
        number = keyed.below(keyed.words(origin.key, turn), in_slots.size)
        drawn = in_slots.place(number, np.arange(number.size))
        drawn = drawn if slots is None else slots.place(drawn)
        admitted = _admit(held, owner[waiting], drawn)
        place[waiting[admitted]] = drawn[admitted]
        waiting, origin, in_slots = waiting[~admitted], origin[~admitted], in_slots[~admitted]
        if not waiting.size:
            return place
    return _search(rules, owner, place, waiting, origins)


def over_cap(rule: Rule, owner: Integers, place: Integers) -> int:
    """Return how many anchors a rule forbids beside those before them in their owners."""
    return int((~_admit([_Held(rule)], owner, place)).sum())


def _search(
    rules: Sequence[Rule],
    owner: Integers,
    place: Integers,
    waiting: Integers,
    origins: Callable[[Integers], Origins],
) -> Integers:
    """Look at some places of each range at once, and let the one anchor that is in the way move in its own.

    A range that gave none to an owner is not asked again.
    """
    ranges = origins(waiting).ranges
    spans = list(zip(*(getattr(ranges, name).tolist() for name in Ranges.__dataclass_fields__), strict=True))
    spent: set[tuple[int, ...]] = set()
    for nth, (anchor, span) in enumerate(zip(waiting.tolist(), spans, strict=True)):
        if (owner[anchor], *span) in spent:
            continue
        stays = np.flatnonzero(owner == owner[anchor])
        stays = stays[~np.isin(stays, waiting)]
        candidates = _candidates(rules, origins, anchor)
        in_way = _in_way(rules, candidates, place[stays])
        free = np.flatnonzero(~in_way.any(axis=1))
        if not free.size:
            free = _let_move(rules, place, stays, candidates, in_way, origins)
        if not free.size:
            candidates = _scanned(rules, ranges[np.array([nth])], place[stays])
            free = np.arange(candidates.size)
        if free.size:
            place[anchor] = candidates[free[0]]
            waiting = waiting[waiting != anchor]
        else:
            spent.add((owner[anchor], *span))
    return place


def _scanned(rules: Sequence[Rule], one: Ranges, held: Integers) -> Integers:
    """Return the places of a range, (1,), whose values are not used up; none where rules count hours."""
    if any(rule.hours is not None for rule in rules) or one.size[0] <= SEARCHED:
        return np.empty(0, dtype=np.int64)
    number = np.arange(min(int(one.size[0]), SCANNED))
    places = one.place(number, np.zeros_like(number))
    for rule in rules:
        value, count = np.unique(rule.code(held), return_counts=True)
        places = places[~np.isin(rule.code(places), value[count >= rule.count])]
    return places


def _candidates(rules: Sequence[Rule], origins: Callable[[Integers], Origins], anchor: int) -> Integers:
    """Return some places of an anchor's range, in a keyed order; one of those that no rule tells apart."""
    origin = origins(np.array([anchor]))
    size = origin.ranges.size
    number = keyed.permute(np.arange(min(int(size[0]), SEARCHED)), size, keyed.words(origin.key, REDRAWS))
    found = origin.ranges.place(number, np.zeros_like(number))
    marks = [rule.code(found).astype(np.float64) for rule in rules]
    marks += [rule.hours(found) for rule in rules if rule.hours is not None]
    _, first = np.unique(np.stack(marks), axis=1, return_index=True)
    return found[np.sort(first)]


def _in_way(rules: Sequence[Rule], candidates: Integers, held: Integers) -> Flags:
    """Return (candidates, held) which held anchors keep each candidate out."""
    found = np.zeros((candidates.size, held.size), dtype=np.bool_)
    for rule in rules:
        same = rule.code(candidates)[:, None] == rule.code(held)
        if rule.hours is not None:
            same &= np.abs(rule.hours(candidates)[:, None] - rule.hours(held)) < rule.min_hours
        found |= same & (same.sum(axis=1, keepdims=True) >= rule.count)
    return found


def _let_move(
    rules: Sequence[Rule],
    place: Integers,
    stays: Integers,
    candidates: Integers,
    in_way: Flags,
    origins: Callable[[Integers], Origins],
) -> Integers:
    """Move an anchor that alone is in a candidate's way inside its range; return the candidate, if any."""
    tried: set[int] = set()
    for at in np.flatnonzero(in_way.sum(axis=1) == 1).tolist():
        blocker = int(np.flatnonzero(in_way[at])[0])
        if blocker in tried or len(tried) == MOVED:
            continue
        tried.add(blocker)
        elsewhere = _candidates(rules, origins, int(stays[blocker]))
        others = np.append(np.delete(place[stays], blocker), candidates[at])
        free = elsewhere[~_in_way(rules, elsewhere, others).any(axis=1)]
        if free.size:
            place[stays[blocker]] = free[0]
            return np.array([at])
    return np.empty(0, dtype=np.int64)


def _admit(held: "Sequence[_Held]", owner: Integers, place: Integers) -> Flags:
    """Let in, in this order, all that no rule forbids beside those held or let in before; return which."""
    admitted = np.zeros(place.size, dtype=np.bool_)
    waiting = np.arange(place.size)
    while waiting.size:
        at, of = place[waiting], owner[waiting]
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
    """The anchors that owners hold, as sorted pairs of owner and value, with their times."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._pair = np.empty(0, dtype=np.uint64)
        self._hours = np.empty(0)

    def add(self, owner: Integers, place: Integers) -> None:
        """Hold more anchors."""
        if not owner.size:
            return
        pair = np.concatenate([self._pair, self._pairs(owner, place)])
        if self._rule.hours is None:
            pair.sort()
            self._pair = pair
            return
        order = np.argsort(pair, kind="stable")
        self._pair = pair[order]
        self._hours = np.concatenate([self._hours, self._rule.hours(place)])[order]

    def room(self, owner: Integers, place: Integers) -> tuple[Flags, Flags]:
        """Return which may not join, and which may whatever those before them do."""
        pair = self._pairs(owner, place)
        there = self._count(pair, place)
        order = np.argsort(pair, kind="stable")
        before = np.empty(pair.size, dtype=np.int64)
        before[order] = rank_in_run(pair[order])
        return there >= self._rule.count, there + before < self._rule.count

    def _pairs(self, owner: Integers, place: Integers) -> NDArray[np.uint64]:
        return (owner.astype(np.uint64) << np.uint64(32)) | self._rule.code(place).astype(np.uint64)

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

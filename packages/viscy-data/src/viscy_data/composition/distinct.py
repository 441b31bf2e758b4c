"""No two anchors of one value together: conflicts are found, and redrawn from where they came.

*Value*: what no two anchors of a *unit* (a batch, or a step of several) may share, such as a lineage;
with a least distance in hours, two may if they are that far apart. The first anchor of a value in slot
order stays; each later one is a *conflict*. It is redrawn from its own side of the focal window in its
own cell, so that all other axes stay as they are: a few times at random, then among all that would do,
at last from the other side of the cell. What still has no place keeps its anchor and is counted.

Cost: one sort of the anchors drawn; a redraw costs a binary search. Only where a cell has hardly a
value left is all of it looked at.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.race import Sides, throw
from viscy_data.composition.requests import are_first

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

REDRAWS: Final = 8
"""Random redraws of a conflict before all candidates are looked at."""


@dataclass(frozen=True)
class AnchorValues:
    """What anchors must not share.

    Attributes
    ----------
    code
        (N,) value of the anchor at each place of the layout.
    hours
        (N,) its time, or None where no two anchors of a value may stand together.
    min_hours
        How far apart two anchors of a value must be.
    """

    code: NDArray[np.uint32]
    hours: Floats | None
    min_hours: float


@dataclass(frozen=True)
class Origins:
    """Where anchors came from; all arrays are (slots,).

    Attributes
    ----------
    key
        64 random bits of the slot.
    start, end
        Places of the anchor's cell.
    low, high
        Places of the focal window in the cell; the whole cell where there is none.
    """

    key: keyed.Words
    start: Integers
    end: Integers
    low: Integers
    high: Integers

    def __getitem__(self, which: NDArray[np.bool_]) -> "Origins":
        return Origins(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


class _Held:
    """The anchors that units hold: pairs of unit and value, sorted, with their times."""

    def __init__(self, values: AnchorValues) -> None:
        self.values = values
        self._pair = np.empty(0, dtype=np.uint64)
        self._hours = np.empty(0)

    def pair(self, unit: Integers, place: Integers) -> NDArray[np.uint64]:
        code = self.values.code[place].astype(np.uint64)
        return (unit.astype(np.uint64) << np.uint64(32)) | code

    def add(self, unit: Integers, place: Integers) -> None:
        pair = np.concatenate([self._pair, self.pair(unit, place)])
        if self.values.hours is None:
            self._pair = np.sort(pair)
            return
        order = np.argsort(pair, kind="stable")
        self._pair = pair[order]
        self._hours = np.concatenate([self._hours, self.values.hours[place]])[order]

    def clashes(self, unit: Integers, place: Integers) -> NDArray[np.bool_]:
        """Return which of these anchors may not join their units."""
        if not self._pair.size:
            return np.zeros(place.size, dtype=np.bool_)
        pair = self.pair(unit, place)
        at = np.searchsorted(self._pair, pair)
        after = np.searchsorted(self._pair, pair, side="right")
        if self.values.hours is None:
            return at < after
        found = np.zeros(place.size, dtype=np.bool_)
        mine = self.values.hours[place]
        for nth in range(int((after - at).max(initial=0))):
            there = np.minimum(at + nth, self._pair.size - 1)
            near = np.abs(self._hours[there] - mine) < self.values.min_hours
            found |= (at + nth < after) & near
        return found

    def admit(self, unit: Integers, place: Integers) -> NDArray[np.bool_]:
        """Let in, in this order, all that clash with none held or let in before; return which."""
        admitted = np.zeros(place.size, dtype=np.bool_)
        waiting = np.flatnonzero(~self.clashes(unit, place))
        while waiting.size:
            first = are_first(self.pair(unit[waiting], place[waiting]))
            joins, rest = waiting[first], waiting[~first]
            admitted[joins] = True
            self.add(unit[joins], place[joins])
            waiting = rest[~self.clashes(unit[rest], place[rest])] if rest.size else rest
        return admitted


def make_distinct(
    values: AnchorValues,
    unit: Integers,
    place: Integers,
    origins: Callable[[Integers], Origins],
    weight_sum: Integers | None = None,
    others: Callable[[int], Integers] | None = None,
) -> Integers:
    """Redraw the conflicts of units.

    Parameters
    ----------
    values
        What anchors must not share.
    unit, place
        (slots,) unit of each anchor drawn and its place in the layout.
    origins
        Tells where the anchors of some slots came from.
    weight_sum
        (N + 1,) weights of the anchors before each place, where redraws go by weight.
    others
        Tells which places may stand in for a slot's anchor when its origin has none left.

    Returns
    -------
    (slots,) places, without conflicts where that can be.
    """
    held = _Held(values)
    waiting = np.flatnonzero(~held.admit(unit, place))
    if not waiting.size:
        return place
    place, origin = place.copy(), origins(waiting)
    inside = (place[waiting] >= origin.low) & (place[waiting] < origin.high)
    for turn in range(REDRAWS):
        if not waiting.size:
            return place
        redrawn = _redrawn(origin, inside, turn, weight_sum)
        admitted = held.admit(unit[waiting], redrawn)
        place[waiting[admitted]] = redrawn[admitted]
        waiting, origin, inside = waiting[~admitted], origin[~admitted], inside[~admitted]
    for nth, slot in enumerate(waiting.tolist()):
        found = _searched(origin[np.arange(waiting.size) == nth], bool(inside[nth]), int(unit[slot]), held)
        if found is None and others is not None:
            found = _free(others(slot), int(unit[slot]), held, keyed.words(origin.key[nth], REDRAWS + 1))
        if found is not None:
            place[slot] = found
            held.add(unit[slot : slot + 1], place[slot : slot + 1])
    return place


def _redrawn(origin: Origins, inside: NDArray[np.bool_], turn: int, weight_sum: Integers | None) -> Integers:
    """Draw an anchor from each slot's own side of the window."""
    key = keyed.words(origin.key, turn)
    if weight_sum is not None:
        return throw(weight_sum, _sides(origin, inside), key)
    window = origin.high - origin.low
    drawn = keyed.below(key, np.where(inside, window, origin.end - origin.start - window))
    outside = origin.start + drawn
    place: Integers = np.where(
        inside, origin.low + drawn, np.where(outside < origin.low, outside, outside + window)
    )
    return place


def _sides(origin: Origins, inside: NDArray[np.bool_]) -> Sides:
    start, end = np.where(inside, origin.low, origin.start), np.where(inside, origin.high, origin.end)
    return Sides(start, end, origin.low, np.where(inside, origin.low, origin.high), origin.key)


def _searched(origin: Origins, inside: bool, unit: int, held: _Held) -> int | None:
    """Return any anchor of the slot's side that will do, or else of the other side of its cell."""
    start, end, low, high = (edge.item() for edge in (origin.start, origin.end, origin.low, origin.high))
    window, around = np.arange(low, high), np.concatenate([np.arange(start, low), np.arange(high, end)])
    for side in (window, around) if inside else (around, window):
        found = _free(side, unit, held, keyed.words(origin.key, REDRAWS))
        if found is not None:
            return found
    return None


def _free(places: Integers, unit: int, held: _Held, bits: keyed.Words) -> int | None:
    """Return one of the places that do not clash, drawn evenly; None where all do."""
    free = places[~held.clashes(np.full(places.size, unit), places)]
    return int(free[keyed.below(bits, free.size).item()]) if free.size else None

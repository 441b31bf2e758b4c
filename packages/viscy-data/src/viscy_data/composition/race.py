"""Draws by weight without repeats: one anchor after the other, each in proportion among those left.

A *side* is a range of places without a gap in it. Points that are thrown evenly on its weights, summed up,
fall on anchors in proportion; the first k different anchors that they fall on are such a draw. Points are
numbered, each a function of the key and its number, so that throwing more changes nothing. Where a side
holds few more than k anchors, each gets a clock that rings at an exponential time of rate weight instead,
and the first k to ring are taken (Efraimidis and Spirakis 2006). Cost: O(k log N), but where a few anchors
hold nearly all of the weight: then up to all anchors of the side are looked at.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.requests import are_first, slots

Integers = NDArray[np.int64]

FEW: Final = 4
"""Sides of up to so many times the anchors wanted are looked at anchor by anchor."""


@dataclass(frozen=True)
class Sides:
    """Ranges of places, each without a gap; all arrays are (sides,).

    Attributes
    ----------
    start, end
        First place and the first one after.
    gap, after
        First place of the gap and the first one after it; the same where there is none.
    key
        64 random bits.
    """

    start: Integers
    end: Integers
    gap: Integers
    after: Integers
    key: keyed.Words

    def __getitem__(self, which: Integers) -> "Sides":
        return Sides(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    @property
    def size(self) -> Integers:
        """(sides,) anchors."""
        return self.end - self.start - (self.after - self.gap)


def winners(weight_sum: Integers, sides: Sides, wanted: Integers) -> Integers:
    """Return (sum of wanted,) places, side after side, in the order in which they were drawn.

    Parameters
    ----------
    weight_sum
        (N + 1,) weights of the anchors before each place.
    sides
        Where to draw.
    wanted
        (sides,) anchors to draw, at most as many as the side holds.
    """
    some = np.flatnonzero(wanted)
    points = wanted + np.where(wanted > 1, wanted // 8 + 2, 0)
    found = []
    while some.size:
        few = (sides.size[some] <= FEW * wanted[some]) | (points[some] > FEW * sides.size[some])
        found.append(_by_clock(weight_sum, sides, wanted, some[few]))
        tried = some[~few]
        side, place, settled = _by_points(weight_sum, sides[tried], wanted[tried], points[tried])
        found.append((tried[side], place))
        some = tried[~settled]
        points = points * 2
    side, place = (np.concatenate(part) for part in zip(*found, strict=True)) if found else (wanted[:0],) * 2
    drawn: Integers = place[np.argsort(side, kind="stable")]
    return drawn


def _by_points(
    weight_sum: Integers, sides: Sides, wanted: Integers, points: Integers
) -> tuple[Integers, Integers, NDArray[np.bool_]]:
    """Return (side, place) of the winners where so many points suffice, and (sides,) where they do."""
    side, number = slots(points)
    place = throw(weight_sum, sides[side], keyed.words(sides.key[side], number))
    first = are_first(side * weight_sum.size + place)
    side, place = side[first], place[first]
    count = np.bincount(side, minlength=wanted.size)
    settled = count >= wanted
    nth = np.arange(side.size) - (np.cumsum(count) - count)[side]
    wins = settled[side] & (nth < wanted[side])
    return side[wins], place[wins], settled


def throw(weight_sum: Integers, sides: Sides, bits: keyed.Words) -> Integers:
    """Return the place that one point falls on in each side; ``bits`` (sides,) are its random bits."""
    begin, gap, after, end = (weight_sum[edge] for edge in (sides.start, sides.gap, sides.after, sides.end))
    share = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    at = begin + (share * (gap - begin + end - after)).astype(np.int64)
    at += np.where(at >= gap, after - gap, 0)
    found: Integers = np.searchsorted(weight_sum, at, side="right") - 1
    return found


def _by_clock(
    weight_sum: Integers, sides: Sides, wanted: Integers, which: Integers
) -> tuple[Integers, Integers]:
    """Return (side, place) of the winners of sides, each anchor of which is looked at."""
    nth, number = slots(sides.size[which])
    side = which[nth]
    place = sides.start[side] + number
    place += np.where(place >= sides.gap[side], (sides.after - sides.gap)[side], 0)
    luck = ((keyed.words(sides.key[side], 1, place) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    clock = -np.log(luck) / (weight_sum[place + 1] - weight_sum[place])
    order = np.lexsort((clock, side))
    side, place = side[order], place[order]
    rank = np.arange(side.size) - np.searchsorted(side, side)
    wins = rank < wanted[side]
    return side[wins], place[wins]

"""Draws inside and outside a focal window of a cell, without repeats.

A cell is a range of places sorted by time, its window a subrange. A request asks for so many
anchors from inside and so many from outside. A side that holds fewer gives all it has and the other
side of the same cell gives the rest. A cell smaller than its whole request is used whole as often as
it fits, and the remainder is drawn as if it were the request: each anchor comes the floor or the
ceiling of request / size times.

Several batches may share a request: its slots are numbered through, first those of the inside, and
each batch draws its own. Anchors with weights: see `race`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.race import Sides, winners

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class FocalDraws:
    """Requests of anchors around a time; all arrays are (requests,).

    Attributes
    ----------
    start, end
        First place of the cell and of the next one.
    low, high
        First place of the window and the first one after it.
    inside, outside
        Anchors wanted from either side.
    first, count
        (2, requests) slots wanted now, of the inside and of the outside: so many, after the first ones.
    inside_key, outside_key
        64 random bits for either side.
    weight_sum
        (N + 1,) weights of the anchors before each place; None where all count alike.
    """

    start: Integers
    end: Integers
    low: Integers
    high: Integers
    inside: Integers
    outside: Integers
    first: Integers
    count: Integers
    inside_key: keyed.Words
    outside_key: keyed.Words
    weight_sum: Integers | None = None

    def places(self) -> Integers:
        """Return the places drawn, (sum of counts,), request after request, the inside first."""
        size, window = self.end - self.start, self.high - self.low
        wanted = self.inside + self.outside
        whole, rest = np.divmod(wanted, np.maximum(size, 1))
        inside = np.maximum(self.inside - whole * window, 0)
        inside = np.minimum(np.maximum(inside, rest - (size - window)), np.minimum(rest, window))

        count = self.count.sum(axis=0)
        request = np.repeat(np.arange(count.size), count)
        number = np.arange(request.size) - (np.cumsum(count) - count)[request]
        after = self.inside + self.first[1] - self.count[0]
        number += np.where(number < self.count[0][request], self.first[0][request], after[request])
        is_inside = number < inside[request]
        index = np.where(is_inside, number, number - inside[request])
        is_whole = number >= rest[request]
        index[is_whole] = 0
        if self.weight_sum is None:
            place = self._evenly(request, is_inside, index, is_whole)
        else:
            outside = np.maximum(rest - inside, 0)
            place = self._by_weight(self.weight_sum, inside, outside, 2 * request + ~is_inside, index)
        if is_whole.any():
            place = np.where(is_whole, self.start[request] + (number - rest[request]) % size[request], place)
        return place

    def _evenly(
        self, request: Integers, is_inside: NDArray[np.bool_], index: Integers, is_whole: NDArray[np.bool_]
    ) -> Integers:
        """Return member ``index`` of a keyed permutation of a side."""
        window = (self.high - self.low)[request]
        around = (self.end - self.start)[request] - window
        domain = np.where(is_whole, 1, np.where(is_inside, window, around))
        key = np.where(is_inside, self.inside_key[request], self.outside_key[request])
        low, start = self.low[request], self.start[request]
        drawn = keyed.permute(index, domain, key)
        outside = start + drawn + np.where(start + drawn >= low, window, 0)
        place: Integers = np.where(is_inside, low + drawn, outside)
        return place

    def _by_weight(
        self, weight_sum: Integers, inside: Integers, outside: Integers, side: Integers, index: Integers
    ) -> Integers:
        """Return winner ``index`` of the race of a side; sides are inside and outside, request by request."""
        sides = Sides(
            np.stack([self.low, self.start], axis=1).ravel(),
            np.stack([self.high, self.end], axis=1).ravel(),
            np.stack([self.low, self.low], axis=1).ravel(),
            np.stack([self.low, self.high], axis=1).ravel(),
            np.stack([self.inside_key, self.outside_key], axis=1).ravel(),
        )
        wanted = np.stack([inside, outside], axis=1).ravel()
        place = winners(weight_sum, sides, wanted)
        first = np.cumsum(wanted) - wanted
        found: Integers = np.append(place, 0)[np.minimum(first[side] + index, place.size)]
        return found

"""Draws inside and outside a focal window of a cell, without repeats.

A cell is a range of places sorted by time, its window a subrange. A request asks for so many
anchors from inside and so many from outside. A side that holds fewer gives all it has and the other
side of the same cell gives the rest. A cell smaller than its whole request is used whole as often as
it fits, and the remainder is drawn as if it were the request: each anchor comes the floor or the
ceiling of request / size times.

Several batches may share a request: its slots are numbered through, first those of the inside, and
each batch draws its own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed

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
        domain = np.where(is_inside, window[request], (size - window)[request])
        key = np.where(is_inside, self.inside_key[request], self.outside_key[request])
        low, start = self.low[request], self.start[request]
        is_whole = number >= rest[request]
        if whole.any():
            index, domain = np.where(is_whole, 0, index), np.where(is_whole, 1, domain)
        drawn = keyed.permute(index, domain, key)
        outside = start + drawn + np.where(start + drawn >= low, window[request], 0)
        place = np.where(is_inside, low + drawn, outside)
        if whole.any():
            place = np.where(is_whole, start + (number - rest[request]) % size[request], place)
        return place

"""Draws around a time under a Gaussian, without repeats: successive sampling as a race of clocks.

A request takes ``inside`` anchors of a cell one after the other, each with probability proportional
to w = exp(-(t - focal)**2 / (2 s**2)) among those left, then ``outside`` anchors evenly from all that
are left of the cell. Beyond four standard deviations w is 0: a cell with fewer anchors within reach
than ``inside`` gives these, and its even part the rest. Cells smaller than a request: see `focal`.

*Race.* Give each anchor a clock that rings at an exponential time of rate w; the first k to ring are
such a draw (Efraimidis and Spirakis 2006). Clocks of a large range of n anchors with w <= W are not
looked at one by one: rings of rate n W in all fall on an anchor at random and count with
probability w / W, and each anchor's first ring that counts is its own clock's (thinning, Lewis and
Shedler 1979). Ranges have w within a factor of 4. Rings are numbered, each a function of the key and
its number, so that going on where they did not suffice changes nothing: expected O(inside) rings.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.layout import AnchorLayout
from viscy_data.composition.requests import are_first, slots

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

REACH: Final = 4.0
"""Standard deviations at which the Gaussian is cut."""

_LAYERS: Final = np.array([np.sqrt(2 * layer * np.log(4)) for layer in range(1, 6)])
_EDGES: Final = np.concatenate([[-REACH], -_LAYERS[::-1], _LAYERS, [REACH]])
_HIGHEST: Final = 0.25 ** np.abs(np.arange(_EDGES.size - 1) - _LAYERS.size)
"""Edges of the ranges in standard deviations, and each range's largest weight."""


@dataclass(frozen=True)
class GaussianDraws:
    """Requests of anchors around a time; all arrays are (requests,).

    Attributes
    ----------
    layout
        The table.
    cell
        Cell of each request.
    focal, deviation
        Middle and standard deviation of the Gaussian, in hours; the deviation is above 0.
    inside, outside
        Anchors wanted from under the Gaussian, and evenly from the rest.
    inside_key, outside_key
        64 random bits for either part.
    few
        Ranges of up to ``few`` times the anchors wanted are looked at anchor by anchor.
    """

    layout: AnchorLayout
    cell: Integers
    focal: Floats
    deviation: Floats
    inside: Integers
    outside: Integers
    inside_key: keyed.Words
    outside_key: keyed.Words
    few: int = 4

    def places(self) -> Integers:
        """Return the places drawn, (sum of counts,), request after request."""
        start = self.layout.start[self.cell]
        size = self.layout.start[self.cell + 1] - start
        edges = self.layout.edges(self.cell, self.focal + self.deviation * _EDGES[:, None])
        reached = edges[-1] - edges[0]
        whole, rest = np.divmod(self.inside + self.outside, np.maximum(size, 1))
        inside = np.clip(self.inside - whole * reached, 0, np.minimum(rest, reached))
        near, near_place = self._race(edges, inside)
        far, far_place = self._even(start, size, inside, rest - inside, near, near_place)
        copy, number = slots(whole * size)
        request = np.concatenate([near, far, copy])
        place = np.concatenate([near_place, far_place, start[copy] + number % size[copy]])
        return place[np.argsort(request, kind="stable")]

    def _race(self, edges: Integers, wanted: Integers) -> tuple[Integers, Integers]:
        """Return (request, place) of the first ``wanted`` anchors whose clocks ring, in order of both."""
        found = []
        rings, waiting = 16, np.flatnonzero(wanted)
        while waiting.size:
            tried = waiting[2 * wanted[waiting] + 8 <= rings]
            if tried.size:
                winner, place, settled = self._heat(tried, edges[:, tried], wanted[tried], rings)
                found.append((tried[winner], place))
                waiting = np.setdiff1d(waiting, tried[settled])
            rings *= 2
        if not found:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        request, place = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.lexsort((place, request))
        return request[order], place[order]

    def _heat(
        self, tried: Integers, edges: Integers, wanted: Integers, rings: int
    ) -> tuple[Integers, Integers, NDArray[np.bool_]]:
        """Run the race of some requests with so many rings of the large ranges.

        Returns
        -------
        (request among those tried, place) of the winners where the race is settled, and
        (tried,) whether it is: all winners rang before the last of these rings.
        """
        size = np.diff(edges, axis=0)
        is_large = size > self.few * wanted
        request, place, clock, horizon = self._rings(tried, edges, size * is_large, rings)
        more, more_place, more_clock = self._clocks(tried, edges, size * ~is_large)
        request, place = np.concatenate([request, more]), np.concatenate([place, more_place])
        clock = np.concatenate([clock, more_clock])
        order = np.lexsort((clock, request))
        request, place, clock = request[order], place[order], clock[order]
        first = are_first(request * len(self.layout) + place)
        request, place, clock = request[first], place[first], clock[first]
        known = np.bincount(request, weights=clock <= horizon[request], minlength=tried.size)
        settled = known >= wanted
        nth = np.arange(request.size) - np.searchsorted(request, request)
        wins = settled[request] & (nth < wanted[request])
        return request[wins], place[wins], settled

    def _rings(
        self, tried: Integers, edges: Integers, size: Integers, rings: int
    ) -> tuple[Integers, Integers, Floats, Floats]:
        """Return (request, place, time) of the rings in large ranges that count, and the last ring's time."""
        rate = np.cumsum(size * _HIGHEST[:, None], axis=0)
        live = np.flatnonzero(rate[-1])
        key, number = self.inside_key[tried[live], None], np.arange(rings)
        time, which, member, luck = (_uniform(keyed.words(key, word, number)) for word in range(4))
        clock = np.cumsum(-np.log(time), axis=1) / rate[-1, live, None]
        horizon = np.full(tried.size, np.inf)
        horizon[live] = clock[:, -1]
        row, column = np.arange(live.size)[:, None], live[:, None]
        layer = (which * rate[-1, live, None] > rate[:-1, live, None]).sum(axis=0)
        place = edges[layer, column] + (member * size[layer, column]).astype(np.int64)
        row = np.broadcast_to(row, place.shape).ravel()
        weight = self._weight(tried[live][row], place.ravel())
        counts = luck.ravel() * _HIGHEST[layer.ravel()] < weight
        return live[row[counts]], place.ravel()[counts], clock.ravel()[counts], horizon

    def _clocks(self, tried: Integers, edges: Integers, size: Integers) -> tuple[Integers, Integers, Floats]:
        """Return (request, place, time) of every clock of small ranges."""
        slot, number = slots(size.ravel())
        place = edges[:-1].ravel()[slot] + number
        request = slot % tried.size
        bits = keyed.words(self.inside_key[tried[request]], 4, place)
        return request, place, -np.log(_uniform(bits)) / self._weight(tried[request], place)

    def _weight(self, request: Integers, place: Integers) -> Floats:
        far = (self.layout.time_of(place) - self.focal[request]) / self.deviation[request]
        weight: Floats = np.exp(-0.5 * far * far)
        return weight

    def _even(
        self,
        start: Integers,
        size: Integers,
        inside: Integers,
        wanted: Integers,
        near: Integers,
        near_place: Integers,
    ) -> tuple[Integers, Integers]:
        """Return (request, place) of ``wanted`` anchors drawn evenly from what is left of the cells."""
        request, number = slots(wanted)
        drawn = keyed.permute(number, (size - inside)[request], self.outside_key[request])
        # before the x-th anchor that is left come the taken ones whose own rank among those left is <= x
        taken = near_place - start[near] - slots(inside)[1]
        span = len(self.layout) + 1
        before = np.searchsorted(near * span + taken, request * span + drawn, side="right")
        skipped = before - (np.cumsum(inside) - inside)[request]
        return request, start[request] + drawn + skipped


def _uniform(bits: keyed.Words) -> Floats:
    """Turn random bits into numbers between 0 and 1, neither of them included."""
    return ((bits >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52

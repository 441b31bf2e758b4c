"""Endless draws from finite pools: balanced at any time, no member twice in a draw, no history kept.

A *pool* of n members is drawn from again and again. Draw number i (of all that were ever taken) falls
in *pass* i // n at *place* i % n, and each pass holds every member once, so at any time two members'
visits differ by at most one. A *visit* takes up to m consecutive draws; where it crosses the end
of a pass, the head it takes of the new pass must not hold the tail it took of the old one.

Large pools (n >= 3 m). Members are numbered along a fixed spread-out order, and each end of a pass
owns a *window* of m consecutive numbers, moved by a constant step from one end to the next so that
two neighbouring windows are apart and all members take their turn in them. A pass is: m members of
neither of its two windows, the window of its beginning (the last m of the pass before), the other
members of neither window, the window of its end. Outside the windows a fresh keyed permutation
decides. A crossing visit so takes the rest of the old pass, then members it does not hold yet; those
it left out come next, and no member's place is favoured.

Small pools. Visits are cut into *stretches*. In a stretch all passes have one order, so that any n
consecutive draws differ; the order is a fresh keyed permutation that keeps, as sets, the members
drawn before the stretch's beginning and end in their passes: three segments permuted by themselves.
A visit larger than its pool then uses each member the floor or the ceiling of m / n times.

Either way a draw costs one value of a permutation, and depends on nothing but its number.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.purpose import Purpose

Integers = NDArray[np.int64]

STRETCH = 16
"""Visits of a small pool that share one order."""


@dataclass(frozen=True)
class Draws:
    """Consecutive draws from pools; all arrays are (requests,).

    Attributes
    ----------
    pool
        Pool of each request.
    first
        Draws taken from the pool before.
    count
        Draws wanted now, at most the pool's largest visit.
    begin, end
        Draws taken from the pool at the ends of the stretch; used for small pools only.
    stretch
        64 bits that name the stretch; used for small pools only.
    """

    pool: Integers
    first: Integers
    count: Integers
    begin: Integers
    end: Integers
    stretch: keyed.Words


class EndlessPools:
    """Pools of given sizes, and the most that a visit takes from each.

    Parameters
    ----------
    size
        (pools,) members; at least 1 in every pool that is drawn from.
    visit
        (pools,) most draws of one visit.
    seed
        First word of the keys.
    """

    def __init__(self, size: Integers, visit: Integers, seed: int) -> None:
        self.size = np.maximum(size, 1)
        self.visit = visit
        self.is_small = self.size < 3 * visit
        self.seed = seed
        self._stride = _coprime_strides(self.size)
        self._move = np.maximum(np.round(self.size * 0.3819660112501051).astype(np.int64), 1)
        self._shift = keyed.below(keyed.words(seed, Purpose.SHIFT, np.arange(size.size)), self.size)

    def members(self, draws: Draws) -> Integers:
        """Return the members drawn, (sum of counts,), request after request."""
        request = np.repeat(np.arange(draws.count.size), draws.count)
        number = np.arange(request.size) - (np.cumsum(draws.count) - draws.count)[request]
        small = self.is_small[draws.pool]
        if not small.any():
            spread = self._large(draws, request, number)
        elif small.all():
            spread = self._small(draws, request, number)
        else:
            spread = np.empty(request.size, dtype=np.int64)
            for part, draw in ((small[request], self._small), (~small[request], self._large)):
                spread[part] = draw(draws, request[part], number[part])
        pool = draws.pool[request]
        member: Integers = (spread * self._stride[pool] + self._shift[pool]) % self.size[pool]
        return member

    def _large(self, draws: Draws, request: Integers, number: Integers) -> Integers:
        size, window, move = (part[draws.pool] for part in (self.size, self.visit, self._move))
        done, place = np.divmod(draws.first, size)
        key = [keyed.words(self.seed, Purpose.PASS, draws.pool, done + ahead) for ahead in (0, 1)]
        origin = [(done + ahead) * move % size for ahead in (1, 2)]  # the windows at the passes' ends

        n, m = size[request], window[request]
        place = place[request] + number
        ahead = place >= n
        place = np.where(ahead, place - n, place)
        free = place - np.where(place >= 2 * m, m, 0)
        is_free = (place < m) | ((place >= 2 * m) & (place < n - m))
        start = n - move[request]  # where the window of the beginning stands, seen from that of the end
        spread: Integers = keyed.permute(
            np.where(is_free, free, 0), n - 2 * m, np.where(ahead, key[1][request], key[0][request])
        )
        spread += np.where(spread >= start - m, 2 * m, m)
        held = np.where(place < n - m, start + place - m, place - (n - m))
        spread = np.where(is_free, spread, held) + np.where(ahead, origin[1][request], origin[0][request])
        spread -= np.where(spread >= n, n, 0)
        return spread

    def _small(self, draws: Draws, request: Integers, number: Integers) -> Integers:
        size = self.size[draws.pool]
        cuts = np.sort(np.stack([draws.begin % size, draws.end % size]), axis=0)
        place = (draws.first[request] + number) % size[request]
        low, high = cuts[:, request]
        segment = (place >= low).astype(np.int64) + (place >= high)
        edges = np.stack([np.zeros_like(size), *cuts, size])
        begin, end = edges[segment, request], edges[segment + 1, request]
        key = keyed.words(draws.stretch[request], segment)
        spread: Integers = begin + keyed.permute(place - begin, end - begin, key)
        return spread


def _coprime_strides(size: Integers) -> Integers:
    """Return, for each size, a stride near its golden section that visits every member."""
    stride = np.maximum(np.round(size * 0.6180339887498949).astype(np.int64), 1)
    while (shared := np.gcd(stride, size) > 1).any():
        stride += shared
    return stride

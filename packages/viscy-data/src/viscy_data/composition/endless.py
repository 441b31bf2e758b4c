"""Endless draws from finite pools: balanced at any time, no member twice in a draw, no history kept.

A *pool* of n members is drawn from again and again. Draw number i (of all that were ever taken) falls
in *pass* i // n at *place* i % n, and each pass holds every member once, so at any time two members'
visits differ by at most one. A *visit* takes up to m consecutive draws; where it crosses the end
of a pass, what it takes of the new pass must not hold what it took of the old one.

Large pools (n >= 3 m). Each pass is a fresh keyed permutation, but for its *head*, the first 2 m
places: of these members, m that are not among the last m of the pass before come first, those that
were left out next, all in their order. There are always m such members, and as the last m places lie
behind the head, a pass depends on the pass before it only as that was drawn. A visit outside the head
costs one value of a permutation per draw, one in the head four.

Small pools. Visits are cut into *stretches*. In a stretch all passes have one order, so that any n
consecutive draws differ; the order is a fresh keyed permutation that keeps, as sets, the members
drawn before the stretch's beginning and end in their passes: three segments permuted by themselves.
Members that stand far apart in the fixed order behind these sets meet less often than others. A
visit larger than its pool uses each member the floor or the ceiling of m / n times.
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
        self._shift = keyed.below(keyed.words(seed, Purpose.SHIFT, np.arange(size.size)), self.size)

    def members(self, draws: Draws) -> Integers:
        """Return the members drawn, (sum of counts,), request after request."""
        request, number = _slots(draws.count)
        small = self.is_small[draws.pool]
        if not small.any():
            return self._large(draws, request, number)
        if small.all():
            return self._small(draws, request, number)
        members = np.empty(request.size, dtype=np.int64)
        for part, draw in ((small[request], self._small), (~small[request], self._large)):
            members[part] = draw(draws, request[part], number[part])
        return members

    def _large(self, draws: Draws, request: Integers, number: Integers) -> Integers:
        size = self.size[draws.pool]
        done, first = np.divmod(draws.first, size)
        keys = [self._pass_key(draws.pool, done + ahead) for ahead in (0, 1)]
        n, place = size[request], first[request] + number
        ahead = place >= n
        place = np.where(ahead, place - n, place)
        members = keyed.permute(place, n, np.where(ahead, keys[1][request], keys[0][request]))
        in_head = np.flatnonzero(place < 2 * self.visit[draws.pool][request])
        if in_head.size:
            pool, turn = draws.pool[request[in_head]], (done[request] + ahead)[in_head]
            _, one, back = np.unique(pool + turn * self.size.size, return_index=True, return_inverse=True)
            head, start = self._heads(pool[one], turn[one])
            members[in_head] = head[start[back] + place[in_head]]
        return members

    def _heads(self, pool: Integers, turn: Integers) -> tuple[Integers, Integers]:
        """Return the members of the heads of passes, one after the other, and where each head begins."""
        visit = self.visit[pool]
        head, number = _slots(2 * visit)
        member = keyed.permute(number, self.size[pool][head], self._pass_key(pool, turn)[head])
        before, nth = _slots(visit)
        last = (self.size[pool] - visit)[before] + nth
        tail = keyed.permute(last, self.size[pool][before], self._pass_key(pool, turn - 1)[before])
        span = int(self.size[pool].max())
        is_new = ~np.isin(head * span + member, before * span + tail)
        start = np.cumsum(2 * visit) - 2 * visit
        nth_new = np.cumsum(is_new)
        nth_new -= (nth_new - is_new)[start][head]
        comes_first = is_new & (nth_new <= visit[head])
        return member[np.argsort(2 * head + ~comes_first, kind="stable")], start

    def _pass_key(self, pool: Integers, turn: Integers) -> keyed.Words:
        return keyed.words(self.seed, Purpose.PASS, pool, turn)

    def _small(self, draws: Draws, request: Integers, number: Integers) -> Integers:
        size = self.size[draws.pool]
        cuts = np.sort(np.stack([draws.begin % size, draws.end % size]), axis=0)
        place = (draws.first[request] + number) % size[request]
        low, high = cuts[:, request]
        segment = (place >= low).astype(np.int64) + (place >= high)
        edges = np.stack([np.zeros_like(size), *cuts, size])
        begin, end = edges[segment, request], edges[segment + 1, request]
        key = keyed.words(draws.stretch[request], segment)
        spread = begin + keyed.permute(place - begin, end - begin, key)
        pool = draws.pool[request]
        member: Integers = (spread * self._stride[pool] + self._shift[pool]) % self.size[pool]
        return member


def _slots(count: Integers) -> tuple[Integers, Integers]:
    """Return, for each of ``count`` slots of each request, the request and the slot's number in it."""
    request = np.repeat(np.arange(count.size), count)
    return request, np.arange(request.size) - (np.cumsum(count) - count)[request]


def _coprime_strides(size: Integers) -> Integers:
    """Return, for each size, a stride near its golden section that visits every member."""
    stride = np.maximum(np.round(size * 0.6180339887498949).astype(np.int64), 1)
    while (shared := np.gcd(stride, size) > 1).any():
        stride += shared
    return stride

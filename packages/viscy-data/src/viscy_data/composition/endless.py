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

Smaller pools are another matter (`tight`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.history import History, Moments
from viscy_data.composition.purpose import Purpose
from viscy_data.composition.tight import TightPools, slots

Integers = NDArray[np.int64]


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
    now
        The moment of the draw; used for tight pools only.
    apart
        Keys of draws beyond the end of an epoch, which later draws know nothing of; 0 for all
        others. Used for tight pools only.
    """

    pool: Integers
    first: Integers
    count: Integers
    now: Moments
    apart: keyed.Words


class EndlessPools:
    """Pools of given sizes, and what visits take from them.

    Parameters
    ----------
    size
        (pools,) members; at least 1 in every pool that is drawn from.
    least, most
        (2, pools) least and most draws of one visit, full and partial.
    seed
        First word of the keys.
    """

    def __init__(self, size: Integers, least: Integers, most: Integers, seed: int) -> None:
        self.size = np.maximum(size, 1)
        self.visit = most[0]
        self.is_tight = self.size < 3 * self.visit
        self.seed = seed
        self._tight = TightPools(self.size, least, most, seed)

    def members(self, draws: Draws, history: History) -> Integers:
        """Return the members drawn, (sum of counts,), request after request."""
        request, number = slots(draws.count)
        tight = self.is_tight[draws.pool]
        if not tight.any():
            return self._large(draws, request, number)
        members = np.empty(request.size, dtype=np.int64)
        loose = ~tight[request]
        members[loose] = self._large(draws, request[loose], number[loose])
        members[~loose] = self._tight.members(
            history, draws.pool[tight], draws.count[tight], draws.now[tight], draws.apart[tight]
        )
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
        head, number = slots(2 * visit)
        member = keyed.permute(number, self.size[pool][head], self._pass_key(pool, turn)[head])
        before, nth = slots(visit)
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

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
from viscy_data.composition.epochs import Visits
from viscy_data.composition.history import History, Moments
from viscy_data.composition.purpose import Purpose
from viscy_data.composition.requests import slots
from viscy_data.composition.tight import TightPools

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
    visits
        The batches that draw; used for tight pools only.
    apart
        Keys of steps beyond the end of an epoch, which later draws know nothing of; 0 for all
        others. Used for tight pools only.
    """

    pool: Integers
    first: Integers
    count: Integers
    visits: Visits
    apart: keyed.Words

    def __getitem__(self, which: NDArray[np.bool_]) -> "Draws":
        return Draws(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


class EndlessPools:
    """Pools of given sizes, and what visits take from them.

    Parameters
    ----------
    size
        (pools,) members; at least 1 in every pool that is drawn from.
    of_batch, of_step
        (least | most, full | partial, pools) draws of one batch; the same for one step, whole | short.
    seed
        First word of the keys.
    """

    def __init__(self, size: Integers, of_batch: Integers, of_step: Integers, seed: int) -> None:
        self.size = np.maximum(size, 1)
        self.visit = of_step[1, 0]
        self.is_tight = self.size < 3 * self.visit
        self.seed = seed
        # where a step of several batches may take more than all members, each batch draws on its own
        self._is_split = (of_step != of_batch).any(axis=(0, 1)) & (of_step[1] > self.size).any(axis=0)
        self._of_step = TightPools(self.size, of_step[0], of_step[1], seed)
        self._of_batch = TightPools(self.size, of_batch[0], of_batch[1], seed)

    def members(self, draws: Draws, of_step: History, of_batch: History) -> Integers:
        """Return the members drawn, (sum of counts,), request after request."""
        request, number = slots(draws.count)
        tight = self.is_tight[draws.pool]
        if not tight.any():
            return self._large(draws, request, number)
        members = np.empty(request.size, dtype=np.int64)
        loose = ~tight[request]
        members[loose] = self._large(draws, request[loose], number[loose])
        split = self._is_split[draws.pool]
        for which, by_step in ((tight & ~split, True), (tight & split, False)):
            if which.any():
                found = (
                    self._steps(draws[which], of_step) if by_step else self._batches(draws[which], of_batch)
                )
                members[which[request]] = found
        return members

    def _steps(self, draws: Draws, history: History) -> Integers:
        visits = draws.visits
        now = Moments(visits.whole, visits.short, visits.is_short)
        skip = draws.first - history.drawn(draws.pool, now)
        return self._of_step.members(history, draws.pool, now, skip, draws.count, draws.apart)

    def _batches(self, draws: Draws, history: History) -> Integers:
        visits = draws.visits
        now = Moments(visits.full, visits.partial, visits.is_partial)
        apart = np.where(draws.apart, keyed.words(draws.apart, visits.full + visits.partial), draws.apart)
        skip = np.zeros_like(draws.count)
        return self._of_batch.members(history, draws.pool, now, skip, draws.count, apart)

    def _large(self, draws: Draws, request: Integers, number: Integers) -> Integers:
        size = self.size[draws.pool]
        done, first = np.divmod(draws.first, size)
        n, place = size[request], first[request] + number
        ahead = place >= n
        key = self._pass_key(draws.pool, done)[request]
        if ahead.any():
            place = np.where(ahead, place - n, place)
            key = np.where(ahead, self._pass_key(draws.pool, done + 1)[request], key)
        members = keyed.permute(place, n, key)
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

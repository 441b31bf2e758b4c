"""Endless draws from pools that hold less than three visits: passes that know how the last one ended.

A *visit* is what is drawn together: a batch, or a step of several. A visit that crosses the end of a
pass takes the rest of it, then the first of the new pass that it does not hold yet; those it skipped
come next. So the order of a pass hangs on the visit it began in: on r, what that visit took of the
pass before, and on w, all it took. Of the new pass's own permutation only the first w places are
stirred. The end of the pass before must be known, and it is that pass's own permutation but where the
places stirred at its beginning reach into its last r: only there one has to look further back.

*Left-outs.* A visit that takes more than half of the pool is drawn by what it leaves out: those run
through passes in the same way, and visits differ by as much as left-outs do. So w is at most half of
the pool, and no pass hangs on more than the one before; but an epoch's last, smaller batch may leave
out more, and then chains of passes come up, a few links long.

*Copies.* A visit larger than its pool takes every member floor(m / n) times and draws the rest.

Cost: O(pool) per pass that is looked at and per visit, which is less than three visits.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.history import History, Moments
from viscy_data.composition.purpose import Purpose
from viscy_data.composition.requests import slots

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Passes:
    """Passes of pools and the visits they began in; all arrays are (passes,).

    Attributes
    ----------
    pool, turn
        Pool, and number of the pass in it.
    rest, width
        What the visit that the pass began in took of the pass before, and all it took; 0 where no
        visit crosses the pass's beginning.
    """

    pool: Integers
    turn: Integers
    rest: Integers
    width: Integers

    def __getitem__(self, which: NDArray[np.bool_]) -> "Passes":
        return Passes(self.pool[which], self.turn[which], self.rest[which], self.width[which])


class TightPools:
    """Pools of given sizes and what visits take from them.

    Parameters
    ----------
    size
        (pools,) members, at least 1.
    least, most
        (2, pools) least and most draws of one visit, whole and short.
    seed
        First word of the keys.
    """

    def __init__(self, size: Integers, least: Integers, most: Integers, seed: int) -> None:
        copies = least // size
        over = most - copies * size
        self.by_left_outs = 2 * over[0] - 1 > size
        self._copies = np.where(self.by_left_outs, -(-most // size), copies)
        self._size, self._seed = size, seed

    def members(
        self,
        history: History,
        pool: Integers,
        now: Moments,
        skip: Integers,
        count: Integers,
        apart: keyed.Words,
    ) -> Integers:
        """Return the members drawn, (sum of counts,), request after request.

        Parameters
        ----------
        history
            What was drawn before.
        pool, now
            (requests,) pools, and when they are visited.
        skip, count
            (requests,) which of a visit's draws are wanted: so many, after the first ones.
        apart
            (requests,) keys of visits that stand outside of the history; 0 for all others.
        """
        size, is_apart = self._size[pool], apart != 0
        total = history.drawn(pool, now.after()) - history.drawn(pool, now)
        copies = self._copies[now.is_short.astype(np.int64), pool]
        copies = np.where(is_apart, total // size, copies)
        width = np.abs(total - copies * size)
        turn, place = np.where(is_apart, 0, np.divmod(self._position(history, pool, now), size))
        crosses = place + width > size
        orders, start = self._orders_of(history, pool, turn, crosses, apart)
        request, number = slots(width)
        at = place[request] + number
        ahead = at >= size[request]
        special = orders[start[ahead.astype(np.int64), request] + at - ahead * size[request]]
        owner, in_pass = slots(size)
        first = np.cumsum(size) - size
        member = orders[start[0, owner] + in_pass]
        taken = is_apart | ~self.by_left_outs[pool]
        times = copies[owner]
        times[first[request] + special] += np.where(taken, 1, -1)[request]
        # Those that are a visit behind come first: the rest of the pass, or who was left out in it.
        behind = in_pass - place[owner]
        rank = np.empty_like(times)
        rank[first[owner] + member] = np.where(
            taken[owner], np.where(behind < 0, behind + 2 * size[owner], behind), in_pass
        )
        rank[(first[request] + special)[taken[request]]] = number[taken[request]]
        order = np.lexsort((rank[first[owner] + member], owner))
        drawn = np.repeat(member[order], times[(first[owner] + member)[order]])
        request, number = slots(count)
        members: Integers = drawn[(np.cumsum(total) - total + skip)[request] + number]
        return members

    def _orders_of(
        self, history: History, pool: Integers, turn: Integers, crosses: NDArray[np.bool_], apart: keyed.Words
    ) -> tuple[Integers, Integers]:
        """Return orders, one after the other, and (2, requests) where this and the next pass's begin."""
        pools = self._size.size
        wanted = np.concatenate([turn * pools + pool, ((turn + 1) * pools + pool)[crosses]])
        number, back = np.unique(wanted, return_inverse=True)
        found = self._begun(history, number % pools, number // pools)
        orders = self._orders(history, found)
        first = np.cumsum(self._size[found.pool]) - self._size[found.pool]
        start = np.zeros((2, pool.size), dtype=np.int64)
        start[0] = first[back[: pool.size]]
        start[1, crosses] = first[back[pool.size :]]
        alone = np.flatnonzero(apart)
        if alone.size:
            request, nth = slots(self._size[pool[alone]])
            size = self._size[pool[alone]]
            start[0, alone] = orders.size + np.cumsum(size) - size
            orders = np.concatenate([orders, keyed.permute(nth, size[request], apart[alone][request])])
        return orders, start

    def _orders(self, history: History, passes: Passes) -> Integers:
        """Return the orders of passes, one after the other."""
        chain = [passes]
        while (follows := chain[-1].rest > 0).any():
            last = chain[-1][follows]
            before = self._begun(history, last.pool, last.turn - 1)
            reaches = before.width + last.rest > self._size[last.pool]
            chain.append(Passes(before.pool, before.turn, before.rest * reaches, before.width * reaches))
        orders = self._permuted(chain[-1])
        for link in reversed(chain[:-1]):
            orders = self._stirred(link, orders)
        return orders

    def _permuted(self, passes: Passes) -> Integers:
        request, place = slots(self._size[passes.pool])
        key = keyed.words(self._seed, Purpose.PASS, passes.pool, passes.turn)
        return keyed.permute(place, self._size[passes.pool][request], key[request])

    def _stirred(self, passes: Passes, before: Integers) -> Integers:
        """Return the orders of passes; ``before``: those of the passes before, where a visit crosses."""
        orders = self._permuted(passes)
        size = self._size[passes.pool]
        request, _ = slots(size)
        held = np.zeros(orders.size, dtype=np.bool_)
        follows = np.flatnonzero(passes.rest)
        tail_request, tail_place = slots(size[follows])
        is_tail = tail_place >= (size - passes.rest)[follows][tail_request]
        first = np.cumsum(size) - size
        held[first[follows][tail_request[is_tail]] + before[is_tail]] = True
        is_new = ~held[first[request] + orders]
        nth_new = np.cumsum(is_new)
        nth_new -= (nth_new - is_new)[first][request]
        comes_first = is_new & (nth_new <= (passes.width - passes.rest)[request])
        return orders[np.argsort(2 * request + ~comes_first, kind="stable")]

    def _begun(self, history: History, pool: Integers, turn: Integers) -> Passes:
        """Look up the visits that passes began in."""
        target = turn * self._size[pool]
        moment = history.last(pool, lambda now: self._position(history, pool, now) < np.maximum(target, 1))
        start, end = (self._position(history, pool, now) for now in (moment, moment.after()))
        crosses = (start < target) & (target < end)
        return Passes(pool, turn, (target - start) * crosses, (end - start) * crosses)

    def _position(self, history: History, pool: Integers, now: Moments) -> Integers:
        """Return what ran through the passes of each pool before: draws without copies, or left-outs."""
        copies = self._copies[0, pool] * now.whole + self._copies[1, pool] * now.short
        position: Integers = np.abs(history.drawn(pool, now) - self._size[pool] * copies)
        return position

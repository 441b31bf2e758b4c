"""Which group each step of an epoch takes, and how often that group came before.

Groups share the batches of an epoch, and over many epochs each is due its exact share. Drawing a group for
every batch would miss that by chance, and keeping count would need a history. So an epoch's counts by group
are one of the whole-number tables that take turns (`rounding`), laid out in a keyed order: a step's group,
its number among the group's steps, and all steps the group had in earlier epochs follow from the numbers
alone. It costs O(steps) once per epoch, of which the last one asked for is kept.

A *step* is ``span`` successive batches, which share their group; the last step of an epoch may be shorter,
and its last batch smaller (*partial*). A stage of a curriculum begins and ends somewhere in training: the
epochs between are laid out whole, the part of an epoch at either end is rounded by itself. Batches beyond the
end of an epoch, which round it up for many ranks, repeat its groups and count for nothing later.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.keyed import Purpose
from viscy_data.composition.ranges import expand, rank_in_run
from viscy_data.composition.rounding import Mixture

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Steps:
    """Steps that batches belong to, where they are in the histories of their groups, and all their batches.

    Attributes
    ----------
    number, group
        (steps,) number in the epoch, or beyond its end, and group.
    visit
        (steps,) steps that the group had before.
    full, partial
        (steps,) batches of either size that the group had before.
    is_beyond
        (steps,) whether the step lies beyond the end of its epoch.
    batch
        (batches,) number in the epoch of each batch of these steps, step after step.
    step
        (batches,) which of the steps each belongs to.
    batch_full, batch_partial, is_partial
        (batches,) batches of either size that the group had before this one, and whether it is the smaller.
    """

    number: Integers
    group: Integers
    visit: Integers
    full: Integers
    partial: Integers
    is_beyond: Flags
    batch: Integers
    step: Integers
    batch_full: Integers
    batch_partial: Integers
    is_partial: Flags

    def summed(self, of_batch: Integers) -> Integers:
        """Add up counts (batches, ...) over the batches of each step."""
        if self.number.size == self.batch.size:
            return of_batch
        first = np.flatnonzero(np.append(True, self.step[1:] != self.step[:-1]))
        return np.add.reduceat(of_batch, first, axis=0)


class Order:
    """Lays the groups of epochs out.

    Parameters
    ----------
    shares
        Share of batches, by group; sum 1.
    full, partial
        Batches of either size in an epoch; ``partial`` is 0 or 1.
    seed
        First word of the keys.
    span
        Batches of a step.
    run
        Steps of a group that follow each other where the group has as many.
    begin, end
        Global batches, since training began, between which this order holds.
    shift
        The turn that the first epoch takes.
    """

    def __init__(
        self,
        shares: Sequence[Fraction],
        full: int,
        partial: int,
        seed: int,
        *,
        span: int = 1,
        run: int = 1,
        begin: int = 0,
        end: int | None = None,
        shift: int = 0,
    ) -> None:
        self.shares, self.batches, self.seed, self.span = tuple(shares), full + partial, seed, span
        self._full, self._run, self._begin, self._end, self._shift = full, run, begin, end, shift
        self._whole = full // span
        self.steps = -(-self.batches // span)
        self._mixture = self._mixture_of(self._whole, self.steps - self._whole)
        self._first_epoch, self._first_counts = self._opening()
        self._laid_out: tuple[int, _Epoch] | None = None

    def of(self, epoch: int, batch: Integers) -> Steps:
        """Return the steps of global batches (n,) of an epoch, each once and ascending where ``span`` > 1."""
        laid_out = self._epoch(epoch)
        cycle, place = np.divmod(batch, self.batches)
        step, nth = np.divmod(place, self.span)
        if self.span == 1:
            which = np.arange(batch.size)
        else:
            unique = np.unique(cycle * self.steps + step)
            cycle, step = np.divmod(unique, self.steps)
            length = np.minimum(self.span, self.batches - step * self.span)
            which, nth = expand(length)
            batch = cycle[which] * self.batches + step[which] * self.span + nth
            place = step[which] * self.span + nth
        at = step - laid_out.first
        group = laid_out.group[at].astype(np.int64)
        whole, short = laid_out.before[:, group] + cycle * laid_out.counts[:, group]
        is_short = step >= self._whole
        whole += np.where(is_short, laid_out.counts[0, group], laid_out.rank[at])
        rest = self._full - self._whole * self.span
        full, partial = whole * self.span + short * rest, short * (self.batches - self._full)
        in_step = np.minimum(nth, np.where(is_short[which], rest, self.span))
        return Steps(
            number=cycle * self.steps + step,
            group=group,
            visit=whole + short,
            full=full,
            partial=partial,
            is_beyond=cycle > 0,
            batch=batch,
            step=which,
            batch_full=full[which] + in_step,
            batch_partial=partial[which],
            is_partial=place >= self._full,
        )

    def per_step(self, most: Integers) -> Integers:
        """Return (...,) the most that a step takes, of ``most`` (full | partial, ...) that a batch takes."""
        rest = self._full - self._whole * self.span
        shorter = most[0] * rest + most[-1] * (self.batches - self._full)
        found: Integers = np.maximum(most[0] * self.span if self._whole else shorter, shorter)
        return found

    def _segment(self, epoch: int) -> tuple[int, int]:
        """Return the first step of an epoch that this order lays out, and the first after them."""
        first, last = (
            self.steps
            if edge is None
            else min(max(-(-(edge - epoch * self.batches) // self.span), 0), self.steps)
            for edge in (self._begin, self._end)
        )
        return first, last

    def _opening(self) -> tuple[int, Integers]:
        """Return the first epoch laid out whole, and the counts (2, groups) of the part of one before it."""
        epoch = self._begin // self.batches
        first, last = self._segment(epoch)
        if first == 0:
            return epoch, np.zeros((2, len(self.shares)), dtype=np.int64)
        return epoch + 1, self._counts_of(first, last, epoch + self._shift)

    def _counts_of(self, first: int, last: int, turn: int) -> Integers:
        """Return (whole | short, groups) steps, rounded for a part of an epoch."""
        whole, short = min(last, self._whole) - min(first, self._whole), int(first < last > self._whole)
        return _two_rows(self._mixture_of(whole, short).turn(turn))

    def _mixture_of(self, whole: int, short: int) -> Mixture:
        """Return the tables of (whole | short steps, groups) that epochs take in turns."""
        sizes = [whole, 1] if short else [whole]
        return Mixture.of(sizes, [self.shares] * len(sizes), [[0, 1]] if short else [])

    def _epoch(self, epoch: int) -> "_Epoch":
        if self._laid_out is None or self._laid_out[0] != epoch:
            self._laid_out = (epoch, self._lay_out(epoch))
        return self._laid_out[1]

    def _lay_out(self, epoch: int) -> "_Epoch":
        first, last = self._segment(epoch)
        turn = max(epoch - self._first_epoch, 0) + self._shift
        before = self._mixture.before(turn) - self._mixture.before(self._shift)
        before = self._first_counts + _two_rows(before)
        if (first, last) == (0, self.steps):
            counts = _two_rows(self._mixture.turn(turn))
        else:
            counts = self._counts_of(first, last, epoch + self._shift)
        if epoch < self._first_epoch:
            before = np.zeros_like(before)
        groups = np.arange(counts.shape[1], dtype=np.int32)
        group = np.repeat(groups, counts[0])
        if groups.size > 1 and group.size:
            key = keyed.words(self.seed, Purpose.GROUP_ORDER, epoch, first)
            group = group[_shuffled(group.size, key) if self._run == 1 else _in_runs(group, self._run, key)]
        group = np.concatenate([group, np.repeat(groups, counts[1])])
        return _Epoch(first, group, _rank(group), counts, before)


@dataclass(frozen=True)
class _Epoch:
    """Group, and number among its group's steps, of each step from ``first`` on; and the groups' counts.

    ``counts`` and ``before`` are (whole | short, groups) steps in the epoch, and before it.
    """

    first: int
    group: NDArray[np.int32]
    rank: NDArray[np.int32]
    counts: Integers
    before: Integers


def _two_rows(counts: Integers) -> Integers:
    """Return (whole | short, groups) where there are no short steps, too."""
    return counts if len(counts) == 2 else np.concatenate([counts, np.zeros_like(counts)])


def _shuffled(count: int, key: keyed.Words) -> Integers:
    """Return a keyed order of so many steps, by one sort of words: `permute` costs three times as much."""
    low = np.uint64((1 << count.bit_length()) - 1)
    step = np.arange(count, dtype=np.uint64)
    words = np.sort(keyed.words(key, step) & ~low | step)  # random bits above, the step's number below
    return (words & low).astype(np.int64)


def _in_runs(group: NDArray[np.int32], run: int, key: keyed.Words) -> Integers:
    """Return an order of steps, sorted by group, in which runs of so many steps of a group stay together."""
    begin = np.flatnonzero(rank_in_run(group) % run == 0)
    order = _shuffled(begin.size, key)
    runs, step = expand(np.diff(np.append(begin, group.size))[order])
    found: Integers = begin[order][runs] + step
    return found


def _rank(group: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return how many earlier entries have the same value."""
    small = group.astype(np.min_scalar_type(int(group.max(initial=0))))  # 16 bits or fewer sort by radix
    count = np.bincount(group).astype(np.int32)
    rank = np.empty(group.size, dtype=np.int32)
    begin = np.repeat(np.cumsum(count, dtype=np.int32) - count, count)
    rank[np.argsort(small, kind="stable")] = np.arange(group.size, dtype=np.int32) - begin
    return rank

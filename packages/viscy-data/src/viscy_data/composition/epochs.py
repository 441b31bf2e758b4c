"""Which group each batch of an epoch takes, and which of the group's visits that is.

Over epochs each group gets its exact share of batches, the floor or the ceiling in each epoch. The
order inside an epoch is a keyed permutation, laid out once per epoch: O(batches). How many visits a
group had before an epoch is known without walking the epochs. Where weights move, each epoch has
shares of its own, and what a group had before is known to about one visit. The last batch of an epoch may be
smaller (*partial*); such visits are counted apart.

A *step* is ``span`` successive batches, which share their group; the last step of an epoch may be
*short*. Groups are laid out by steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.moving_weights import MovingWeights
from viscy_data.composition.purpose import Purpose
from viscy_data.composition.quota import Mixture
from viscy_data.composition.requests import slots

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Visits:
    """Where batches stand in the histories of their groups; all arrays are (batches,).

    Attributes
    ----------
    group
        Group of each batch.
    full, partial
        Visits of either kind that the group had before.
    is_partial
        Whether this visit is of the smaller size.
    rank, cycle
        Number of the visit's step among those of its group and epoch; 0 for batches of the epoch
        itself, 1 and up for batches beyond its end, which repeat its groups.
    step
        Number of the step in its epoch (or beyond its end).
    whole, short
        Steps of either length that the group had before.
    is_short
        Whether the visit's step is short.
    """

    group: Integers
    full: Integers
    partial: Integers
    is_partial: NDArray[np.bool_]
    rank: Integers
    cycle: Integers
    step: Integers
    whole: Integers
    short: Integers
    is_short: NDArray[np.bool_]

    def __getitem__(self, which: NDArray[np.bool_] | Integers) -> "Visits":
        return Visits(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


class EpochSchedule:
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
    moving
        Shares epoch by epoch, instead of ``shares``; None where they stay.
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
        moving: MovingWeights | None = None,
    ) -> None:
        self.full, self.partial, self.seed, self.span, self.run = full, partial, seed, span, run
        self._shares, self._moving = tuple(shares), moving
        self._steps, rest = divmod(full, span)
        self._rest = rest
        self._mixture = self._mixture_of(shares)
        self._laid_out: tuple[int, _Epoch] | None = None

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return self.full + self.partial

    def shares(self, epoch: int) -> Sequence[Fraction]:
        """Return each group's share of the batches of an epoch."""
        return self._shares if self._moving is None else self._moving.shares(epoch)

    def visits(self, epoch: int, numbers: Integers) -> Visits:
        """Return the visits that global batches ``numbers`` of ``epoch`` are; any number >= 0."""
        laid_out = self._epoch(epoch)
        cycle, place = np.divmod(numbers, self.batches)
        step, nth = np.divmod(place, self.span)
        group, rank = laid_out.group[step].astype(np.int64), laid_out.rank[step].astype(np.int64)
        is_short = step >= self._steps
        whole, short = laid_out.before[:, group] + cycle * laid_out.counts[:, group]
        whole += np.where(is_short, laid_out.counts[0, group], rank)
        full, partial = self.batches_of(whole, short)
        full += np.minimum(nth, np.where(is_short, self._rest, self.span))
        step += cycle * (self._steps + len(self._mixture.base) - 1)
        return Visits(group, full, partial, place >= self.full, rank, cycle, step, whole, short, is_short)

    def progress(self, epoch: int, number: Integers) -> Integers:
        """Return how many global batches came before each batch's step, since the beginning of training.

        It is what schedules are asked with. Batches beyond the end of an epoch count as its last one.
        """
        place = np.minimum(number, self.batches - 1)
        progress: Integers = epoch * self.batches + place - place % self.span
        return progress

    def before(self, epoch: Integers, group: Integers) -> tuple[Integers, Integers]:
        """Return the steps of either length, whole and short, that groups had before epochs."""
        found = self._mixture.before(epoch)[np.arange(group.size), :, group]
        return found[:, 0], found[:, 1] if found.shape[1] > 1 else np.zeros_like(group)

    def batches_of(self, whole: Integers, short: Integers) -> tuple[Integers, Integers]:
        """Return the batches, full and partial, in so many whole and short steps."""
        return whole * self.span + short * self._rest, short * self.partial

    def step_of(self, visits: Visits) -> tuple[Visits, Visits]:
        """Return the moments at the beginning and at the end of the steps that visits belong to."""
        begin = self.batches_of(visits.whole, visits.short)
        end = self.batches_of(visits.whole + ~visits.is_short, visits.short + visits.is_short)
        return replace(visits, full=begin[0], partial=begin[1]), replace(visits, full=end[0], partial=end[1])

    def members(self, numbers: Integers) -> Integers:
        """Return all batches of the steps that batches ``numbers`` belong to, ascending."""
        place = numbers % self.batches
        first = np.unique(numbers - place % self.span)
        count = np.minimum(self.span, self.batches - first % self.batches)
        start = np.repeat(first - (np.cumsum(count) - count), count)
        return start + np.arange(start.size)

    def per_step(self, of_batch: Integers) -> Integers:
        """Turn bounds (least | most, full | partial, ...) of batches into those of steps, whole | short."""
        full, partial = of_batch[:, 0], of_batch[:, 1]
        return np.stack([full * self.span, full * self._rest + partial * self.partial], axis=1)

    def _epoch(self, epoch: int) -> "_Epoch":
        if self._laid_out is None or self._laid_out[0] != epoch:
            self._laid_out = (epoch, self._lay_out(epoch))
        return self._laid_out[1]

    def _mixture_of(self, shares: Sequence[Fraction]) -> Mixture:
        """Return the tables of (whole | short steps, groups) that epochs take in turns."""
        sizes = [self._steps, 1] if self._rest + self.partial else [self._steps]
        nodes = [[0, 1]] if len(sizes) > 1 else []
        return Mixture.of(sizes, [shares] * len(sizes), nodes)

    def _counts(self, epoch: int) -> tuple[Integers, Integers]:
        """Return the steps of groups, (whole | short, groups), before an epoch and in it."""
        if self._moving is None:
            sizes = self._mixture.before([epoch, epoch + 1])
        else:
            counts = self._mixture_of(self._moving.shares(epoch)).turn(epoch)
            lengths = (self._steps, 1)[: len(counts)]
            before = np.array([self._moving.before(epoch, steps) for steps in lengths], dtype=np.int64)
            sizes = np.stack([before, before + counts])
        before, after = np.pad(sizes, ((0, 0), (0, 2 - sizes.shape[1]), (0, 0)))
        return before, after - before

    def _lay_out(self, epoch: int) -> "_Epoch":
        before, counts = self._counts(epoch)
        group = np.repeat(np.arange(counts.shape[1], dtype=np.int32), counts[0])
        if counts.shape[1] > 1 and self._steps:
            key = keyed.words(self.seed, Purpose.GROUP_ORDER, epoch)
            group = group[_in_runs(group, self.run, key)]
        group = np.concatenate([group, np.repeat(np.arange(counts.shape[1], dtype=np.int32), counts[1])])
        return _Epoch(group, _rank(group), counts, before)


@dataclass(frozen=True)
class _Epoch:
    """Group and rank of each step, (steps,), and (2, groups) steps in and before the epoch."""

    group: NDArray[np.int32]
    rank: NDArray[np.int32]
    counts: Integers
    before: Integers


def _in_runs(group: NDArray[np.int32], run: int, key: keyed.Words) -> Integers:
    """Return an order of steps, sorted by group, in which runs of so many steps of a group stay together."""
    new = np.append(True, group[1:] != group[:-1])
    nth = np.arange(group.size) - np.maximum.accumulate(np.where(new, np.arange(group.size), 0))
    begin = np.flatnonzero(nth % run == 0)
    order = keyed.permute(np.arange(begin.size), begin.size, key)
    runs, step = slots(np.diff(np.append(begin, group.size))[order])
    found: Integers = begin[order][runs] + step
    return found


def _rank(group: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return how many earlier entries have the same value."""
    order = np.argsort(group, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(group))])
    rank = np.empty(group.size, dtype=np.int32)
    rank[order] = np.arange(group.size) - start[group[order]]
    return rank

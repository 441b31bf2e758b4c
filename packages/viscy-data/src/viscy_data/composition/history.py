"""What the pools had given before any visit of any epoch, and which visit a pass began in.

A *pool* is what one group's batches draw of one stratum, own or leaked. Pools are numbered by
(own | leaked, stratum, group). A *visit* is a step or a batch. Nothing is walked: the history of a
group is searched by halves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.epochs import EpochSchedule
from viscy_data.composition.parts import PartCounts

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Moments:
    """Points of time between two visits; all arrays are (moments,).

    Attributes
    ----------
    whole, short
        Visits of either length that the pool's group had before.
    is_short
        Whether the next visit is a short one.
    """

    whole: Integers
    short: Integers
    is_short: NDArray[np.bool_]

    def __getitem__(self, which: NDArray[np.bool_]) -> "Moments":
        return Moments(self.whole[which], self.short[which], self.is_short[which])

    def after(self) -> "Moments":
        """Return the moments one visit later (of which nothing is known about the next visit)."""
        return Moments(self.whole + ~self.is_short, self.short + self.is_short, self.is_short)


Condition = Callable[[Moments], NDArray[np.bool_]]


class History(Protocol):
    """What was drawn from pools, by moment."""

    def drawn(self, pool: Integers, moments: Moments) -> Integers:
        """Return what was drawn from each pool before each moment."""

    def last(self, pool: Integers, holds: Condition) -> Moments:
        """Return each pool's last moment for which ``holds``; true at the beginning, once false for ever."""


@dataclass(frozen=True)
class DrawHistory:
    """The history of the pools of a plan and a table, to the end of an epoch.

    Attributes
    ----------
    schedule
        When groups are visited.
    parts
        What a visit takes.
    epoch
        The latest epoch that is asked for.
    by_step
        Whether visits are steps; else batches.
    """

    schedule: EpochSchedule
    parts: PartCounts
    epoch: int
    by_step: bool

    def drawn(self, pool: Integers, moments: Moments) -> Integers:
        """Return what was drawn from each pool before each moment."""
        half, stratum, group = np.unravel_index(pool, self.parts.shape)
        batches = moments.whole, moments.short
        if self.by_step:
            batches = self.schedule.batches_of(*batches)
        return self.parts.drawn_of(group, half, stratum, *batches)

    def last(self, pool: Integers, holds: Condition) -> Moments:
        """Return each pool's last moment before the end of `epoch` for which ``holds``.

        Cost: two binary searches, over epochs and inside one.
        """
        group = pool % self.parts.shape[2]

        def opening(epoch: Integers) -> Moments:
            visits = self.schedule.before(epoch, group)
            if not self.by_step:
                visits = self.schedule.batches_of(*visits)
            return Moments(*visits, np.zeros(group.size, dtype=np.bool_))

        epoch = _search(np.full(group.size, self.epoch), lambda number: holds(opening(number)))
        start, end = opening(epoch), opening(epoch + 1)
        whole = end.whole - start.whole
        visits = whole + end.short - start.short

        def inside(rank: Integers) -> Moments:
            short = np.maximum(rank - whole, 0)
            return Moments(start.whole + rank - short, start.short + short, rank >= whole)

        return inside(_search(np.maximum(visits - 1, 0), lambda rank: holds(inside(rank))))


def _search(highest: Integers, holds: Callable[[Integers], NDArray[np.bool_]]) -> Integers:
    """Return the highest number from 0 to ``highest`` for which ``holds``, which 0 does."""
    low, high = np.zeros_like(highest), highest
    while (low < high).any():
        middle = (low + high + 1) >> 1
        right = holds(middle)
        low, high = np.where(right, middle, low), np.where(right, high, middle - 1)
    return low

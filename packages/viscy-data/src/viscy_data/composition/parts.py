"""How many anchors of each stratum each part of a batch holds, visit after visit.

A batch has up to four parts: own anchors and leaked ones, inside and outside the focal window. Their
sizes are the same in every batch; their strata are whole-number tables that take turns by the visits
of the batch's group (`quota`). Groups with the same shares of strata share one mixture of tables.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.epochs import Visits
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.quota import Mixture
from viscy_data.composition.shares import Shares, TableShares

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class PartSizes:
    """Anchors in each part of a batch.

    Attributes
    ----------
    own, leaked
        (inside, outside) the focal window; without one all are outside.
    """

    own: tuple[int, int]
    leaked: tuple[int, int]

    @classmethod
    def of(cls, size: int, plan: BatchPlan) -> "PartSizes":
        """Round the fractions of the plan for a batch of ``size``."""
        leaked = min(round(size * plan.leak), size - 1)
        outside = size if plan.window is None else round(size * plan.outside)
        leaked_outside = round(Fraction(leaked * outside, size))
        own_outside = outside - leaked_outside
        return cls((size - leaked - own_outside, own_outside), (leaked - leaked_outside, leaked_outside))

    @property
    def halves(self) -> tuple[int, int]:
        """Own and leaked anchors."""
        return sum(self.own), sum(self.leaked)


class PartCounts:
    """Counts of anchors by part and stratum.

    Parameters
    ----------
    plan
        What a batch shall hold.
    sizes
        Batch sizes: the full one and, where an epoch ends with a smaller batch, that one's.
    shares
        Exact shares of the plan on the table.

    Attributes
    ----------
    parts
        Sizes of the parts, by batch size.
    """

    def __init__(self, plan: BatchPlan, sizes: list[int], shares: TableShares) -> None:
        self.parts = [PartSizes.of(size, plan) for size in sizes]
        self._shares = [
            (own, None if shares.leaked is None else shares.leaked[group])
            for group, own in enumerate(shares.own)
        ]
        number: dict[tuple[Shares, Shares | None], int] = {}
        self._pattern = np.array(
            [
                -1 if own is None else number.setdefault((own, leaked), len(number))
                for own, leaked in self._shares
            ]
        )
        self.leaves_of_half = 1 if plan.window is None else 2
        self._mixtures = [
            [mixture_of(part, own, leaked, plan.window is not None) for part in self.parts]
            for own, leaked in number
        ]

    def taken(self, visits: Visits) -> Integers:
        """Return (visits, leaves, strata) what these visits take."""
        found = self._empty(visits)
        for mixtures, which in self._by_pattern(visits.group):
            found[which] = mixtures[0].turn(visits.full[which])
            small = which[visits.is_partial[which]]
            if small.size:
                found[small] = mixtures[1].turn(visits.partial[small])
        return found

    def drawn(self, visits: Visits) -> Integers:
        """Return (visits, leaves, strata) what each visit's group took before."""
        found = self._empty(visits)
        for mixtures, which in self._by_pattern(visits.group):
            found[which] = mixtures[0].before(visits.full[which])
            if len(mixtures) > 1:
                found[which] += mixtures[1].before(visits.partial[which])
        return found

    @property
    def leaves(self) -> int:
        """Parts that a batch has."""
        return int(self._mixtures[0][0].base.shape[0])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(own | leaked, strata, groups) of pools."""
        return 2, self._mixtures[0][0].base.shape[1], len(self._shares)

    def drawn_of(
        self, group: Integers, half: Integers, stratum: Integers, full: Integers, partial: Integers
    ) -> Integers:
        """Return (requests,) what was taken of own (half 0) or leaked (1) strata in so many visits."""
        found = np.zeros(group.size, dtype=np.int64)
        for mixtures, which in self._by_pattern(group):
            for mixture, turns in zip(mixtures, (full, partial), strict=False):
                taken = mixture.before(turns[which])
                halves = taken.reshape(which.size, -1, self.leaves_of_half, taken.shape[2]).sum(axis=2)
                found[which] += halves[np.arange(which.size), half[which], stratum[which]]
        return found

    def bounds(self) -> Integers:
        """Return (least | most, full | partial, own | leaked, strata, groups) anchors of a batch."""
        means = [self._means(part) for part in self.parts]
        means += [[[[Fraction(0)] * self.shape[2]] * self.shape[1]] * 2] * (2 - len(means))
        exact = np.array(means, dtype=object)
        return np.stack([np.vectorize(bound, otypes=[np.int64])(exact) for bound in (floor, ceil)])

    def means(self) -> NDArray[np.float64]:
        """Return (groups, strata): the mean number of anchors in a full batch."""
        return np.array(self._means(self.parts[0]), dtype=np.float64).sum(axis=0).T

    def own_means(self) -> list[list[Fraction]]:
        """Return by batch size the exact mean of what a batch takes of each own cell, (stratum, group)."""
        return [[mean for row in self._means(part)[0] for mean in row] for part in self.parts]

    def _means(self, part: PartSizes) -> list[list[list[Fraction]]]:
        rows = []
        for half, size in enumerate(part.halves):
            shares = [pair[half] or (Fraction(0),) * self.shape[1] for pair in self._shares]
            rows.append([[size * share[stratum] for share in shares] for stratum in range(self.shape[1])])
        return rows

    def _empty(self, visits: Visits) -> Integers:
        return np.zeros((visits.group.size, *self._mixtures[0][0].base.shape), dtype=np.int64)

    def _by_pattern(self, group: Integers) -> list[tuple[list[Mixture], Integers]]:
        if len(self._mixtures) == 1:
            return [(self._mixtures[0], np.arange(group.size))]
        pattern = self._pattern[group]
        return [(self._mixtures[number], np.flatnonzero(pattern == number)) for number in np.unique(pattern)]


def mixture_of(parts: PartSizes, own: Shares, leaked: Shares | None, focal: bool) -> Mixture:
    """Return the tables of a group's visits: leaves are its own parts, then the leaked ones."""
    own_size, leaked_size = parts.halves
    if not focal:
        if leaked is None:
            return Mixture.of([own_size], [own])
        return Mixture.of([own_size, leaked_size], [own, leaked], [[0, 1]])
    if leaked is None:
        return Mixture.of(parts.own, [own, own], [[0, 1]])
    nodes = [[0, 1], [2, 3], [0, 1, 2, 3]]
    return Mixture.of([*parts.own, *parts.leaked], [own, own, leaked, leaked], nodes)

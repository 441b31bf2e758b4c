"""How many anchors of each stratum each part of a batch holds, visit after visit.

A batch has up to four parts: own anchors and leaked ones, inside and outside the focal window. Their
sizes are the same in every batch; their strata are whole-number tables that take turns by the visits
of the batch's group (`quota`). Groups with the same shares of strata share one mixture of tables.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

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
        outside = size if plan.window is None else round(size * plan.window.global_fraction)
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
        self._mixtures = [
            [_mixture(part, own, leaked, plan.window is not None) for part in self.parts]
            for own, leaked in number
        ]

    def taken(self, visits: Visits) -> Integers:
        """Return (visits, leaves, strata) what these visits take."""
        found = self._empty(visits)
        for mixtures, which in self._by_pattern(visits):
            found[which] = mixtures[0].turn(visits.full[which])
            small = which[visits.is_partial[which]]
            if small.size:
                found[small] = mixtures[1].turn(visits.partial[small])
        return found

    def drawn(self, visits: Visits) -> Integers:
        """Return (visits, leaves, strata) what each visit's group took before."""
        found = self._empty(visits)
        for mixtures, which in self._by_pattern(visits):
            found[which] = mixtures[0].before(visits.full[which])
            if len(mixtures) > 1:
                found[which] += mixtures[1].before(visits.partial[which])
        return found

    def largest(self) -> Integers:
        """Return (own | leaked, strata, groups): the most that one batch takes."""
        means = self._full_means()
        return np.array([[[ceil(mean) for mean in group] for group in row] for row in means], dtype=np.int64)

    def means(self) -> NDArray[np.float64]:
        """Return (groups, strata): the mean number of anchors in a full batch."""
        return np.array(self._full_means(), dtype=np.float64).sum(axis=0).T

    def _full_means(self) -> list[list[list[Fraction]]]:
        strata = self._mixtures[0][0].base.shape[1]
        rows = []
        for half, size in enumerate(self.parts[0].halves):
            shares = [pair[half] or (Fraction(0),) * strata for pair in self._shares]
            rows.append([[size * share[stratum] for share in shares] for stratum in range(strata)])
        return rows

    def _empty(self, visits: Visits) -> Integers:
        return np.zeros((visits.group.size, *self._mixtures[0][0].base.shape), dtype=np.int64)

    def _by_pattern(self, visits: Visits) -> list[tuple[list[Mixture], Integers]]:
        if len(self._mixtures) == 1:
            return [(self._mixtures[0], np.arange(visits.group.size))]
        pattern = self._pattern[visits.group]
        return [(self._mixtures[number], np.flatnonzero(pattern == number)) for number in np.unique(pattern)]


def _mixture(parts: PartSizes, own: Shares, leaked: Shares | None, focal: bool) -> Mixture:
    own_size, leaked_size = parts.halves
    if not focal:
        if leaked is None:
            return Mixture.of([own_size], [own])
        return Mixture.of([own_size, leaked_size], [own, leaked], [[0, 1]])
    if leaked is None:
        return Mixture.of(parts.own, [own, own], [[0, 1]])
    nodes = [[0, 1], [2, 3], [0, 1, 2, 3]]
    return Mixture.of([*parts.own, *parts.leaked], [own, own, leaked, leaked], nodes)

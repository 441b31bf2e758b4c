"""How many anchors of each stratum each part of a batch holds: whole numbers, by the visits of its group.

A batch has up to four *parts*: own anchors and leaked ones, near the focal time and far from it. The sizes of
the parts are the same in every batch; their strata are whole-number tables that take turns (`rounding`) by
the visits of the batch's group. A step takes the sum of its batches. Groups with the same shares of strata
share one mixture of tables, so the cost does not depend on the number of groups.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.order import Steps
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.rounding import Mixture
from viscy_data.composition.shares import Parts, TableShares

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class PartSizes:
    """Anchors in each part of a batch.

    Attributes
    ----------
    own, leaked
        (near, far); without a window all are near.
    """

    own: tuple[int, int]
    leaked: tuple[int, int]

    @classmethod
    def of(cls, size: int, plan: BatchPlan) -> "PartSizes":
        """Round the fractions of the plan for a batch of ``size``."""
        leaked = min(round(size * plan._leak), size - 1)
        far = 0 if plan._window is None else round(size * plan._window.global_fraction)
        leaked_far = round(Fraction(leaked * far, size))
        own_far = far - leaked_far
        return cls((size - leaked - own_far, own_far), (leaked - leaked_far, leaked_far))


class Counts:
    """Counts of anchors by part and stratum.

    Parameters
    ----------
    plan
        What a batch holds.
    sizes
        Batch sizes: the full one and, where an epoch ends with a smaller batch, that one's.
    shares
        Exact shares of the plan on the table.
    shift
        The turn that the first visit takes.

    Attributes
    ----------
    parts
        Sizes of the parts, by batch size.
    sides
        1, or 2 where batches have a near and a far side.
    most
        (full | partial, parts, strata, groups) the most anchors that a batch takes.
    bounds
        (full | partial, groups, strata) the least and the most anchors of a stratum in a batch.
    means
        (full | partial, groups, strata) the same on average.
    """

    def __init__(self, plan: BatchPlan, sizes: list[int], shares: TableShares, shift: int = 0) -> None:
        self._shift = shift
        self.parts = [PartSizes.of(size, plan) for size in sizes]
        self.sides = 1 if plan._window is None else 2
        leaked = shares.leaked or (None,) * len(shares.own)
        self._shares = list(zip(shares.own, leaked, strict=True))
        number: dict[tuple[Parts, Parts | None], int] = {}
        self._pattern = np.array(
            [-1 if own is None else number.setdefault((own, away), len(number)) for own, away in self._shares]
        )
        self._mixtures = [[self._mixture(part, own, away) for part in self.parts] for own, away in number]
        exact = self._exact()
        of_batch = exact.sum(axis=1).swapaxes(1, 2)
        self.most = _rounded(exact, ceil)
        self.bounds = _rounded(of_batch, floor), _rounded(of_batch, ceil)
        self.means = of_batch.astype(np.float64)

    def of(self, steps: Steps) -> Integers:
        """Return (batches, parts, strata) what the batches of these steps take.

        Parts are near and far of the own anchors, then of the leaked ones; without a window, own and leaked.
        """
        group = steps.group[steps.step]
        found = self._empty(group.size)
        for mixtures, which in self._by_pattern(group):
            found[which] = mixtures[0].turn(steps.batch_full[which] + self._shift)
            small = which[steps.is_partial[which]]
            if small.size:
                found[small] = mixtures[1].turn(steps.batch_partial[small] + self._shift)
        return found

    def own_before(self, steps: Steps) -> Integers:
        """Return (steps, strata) what the groups of these steps took of their own cells before."""
        found = self._empty(steps.group.size)
        for mixtures, which in self._by_pattern(steps.group):
            for mixture, turns in zip(mixtures, (steps.full, steps.partial), strict=False):
                found[which] += mixture.before(turns[which] + self._shift) - mixture.before(self._shift)
        total: Integers = found[:, : self.sides].sum(axis=1)
        return total

    def _exact(self) -> NDArray[np.object_]:
        """Return (full | partial, parts, strata, groups) the exact mean counts of a batch, as fractions."""
        strata = self._mixtures[0][0].base.shape[1]
        nothing = (Fraction(0),) * strata
        found = [
            [
                [
                    [(pair[half] or nothing)[stratum] * size[side] for pair in self._shares]
                    for stratum in range(strata)
                ]
                for half, size in self._halves(part)
                for side in range(self.sides)
            ]
            for part in self.parts
        ]
        return np.array(found, dtype=object)

    def _halves(self, part: PartSizes) -> list[tuple[int, tuple[int, int]]]:
        """Return own and, where there is a leak, leaked: 0 or 1, and the sizes of its sides."""
        halves = [(0, part.own), (1, part.leaked)]
        return halves if any(away is not None for _, away in self._shares) else halves[:1]

    def _mixture(self, part: PartSizes, own: Parts, away: Parts | None) -> Mixture:
        """Return the tables of a group's batches: its own parts, then the leaked ones."""
        if self.sides == 1:
            sizes, shares = [part.own[0], part.leaked[0]], [own, away]
            nodes = [[0, 1]]
        else:
            sizes, shares = [*part.own, *part.leaked], [own, own, away, away]
            nodes = [[0, 1], [2, 3], [0, 1, 2, 3]]
        if away is None:
            sizes, shares, nodes = (
                sizes[: self.sides],
                shares[: self.sides],
                [[0, 1]] if self.sides > 1 else [],
            )
        return Mixture.of(sizes, [share for share in shares if share is not None], nodes)

    def _empty(self, count: int) -> Integers:
        return np.zeros((count, *self._mixtures[0][0].base.shape), dtype=np.int64)

    def _by_pattern(self, group: Integers) -> list[tuple[list[Mixture], Integers]]:
        if len(self._mixtures) == 1:
            return [(self._mixtures[0], np.arange(group.size))]
        pattern = self._pattern[group]
        return [(self._mixtures[number], np.flatnonzero(pattern == number)) for number in np.unique(pattern)]


def _rounded(exact: NDArray[np.object_], how: Callable[[Fraction], int]) -> Integers:
    found: Integers = np.vectorize(how, otypes=[np.int64])(exact)
    return found

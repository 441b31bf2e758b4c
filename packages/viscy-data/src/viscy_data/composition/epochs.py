"""Which group each batch of an epoch takes, and which of the group's visits that is.

Over epochs each group gets its exact share of batches, the floor or the ceiling in each epoch. The
order inside an epoch is a keyed permutation, laid out once per epoch: O(batches). How many visits a
group had before an epoch is known without walking the epochs. The last batch of an epoch may be
smaller (*partial*); such visits are counted apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.purpose import Purpose
from viscy_data.composition.quota import Mixture

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
        Number of the visit in its epoch; 0 for batches of the epoch itself, 1 and up for batches
        beyond its end, which repeat its groups.
    """

    group: Integers
    full: Integers
    partial: Integers
    is_partial: NDArray[np.bool_]
    rank: Integers
    cycle: Integers

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
    """

    def __init__(self, shares: Sequence[Fraction], full: int, partial: int, seed: int) -> None:
        self.full, self.partial, self.seed = full, partial, seed
        sizes = [full, partial] if partial else [full]
        nodes = [[0, 1]] if partial else []
        self._mixture = Mixture.of(sizes, [shares] * len(sizes), nodes)
        self._laid_out: tuple[int, _Epoch] | None = None

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return self.full + self.partial

    def visits(self, epoch: int, numbers: Integers) -> Visits:
        """Return the visits that global batches ``numbers`` of ``epoch`` are; any number >= 0."""
        laid_out = self._epoch(epoch)
        cycle, place = np.divmod(numbers, self.batches)
        group, rank = laid_out.group[place].astype(np.int64), laid_out.rank[place].astype(np.int64)
        is_partial = place >= self.full
        full, partial = laid_out.before[:, group] + cycle * laid_out.counts[:, group]
        full += np.where(is_partial, laid_out.counts[0, group], rank)
        return Visits(group, full, partial, is_partial, rank, cycle)

    def before(self, epoch: Integers, group: Integers) -> tuple[Integers, Integers]:
        """Return the visits of either size, full and partial, that groups had before epochs."""
        found = self._mixture.before(epoch)[np.arange(group.size), :, group]
        return found[:, 0], found[:, 1] if self.partial else np.zeros_like(group)

    def _epoch(self, epoch: int) -> "_Epoch":
        if self._laid_out is None or self._laid_out[0] != epoch:
            self._laid_out = (epoch, self._lay_out(epoch))
        return self._laid_out[1]

    def _lay_out(self, epoch: int) -> "_Epoch":
        sizes = self._mixture.before([epoch, epoch + 1])
        before, after = np.pad(sizes, ((0, 0), (0, 2 - sizes.shape[1]), (0, 0)))
        counts = after - before
        group = np.repeat(np.arange(counts.shape[1], dtype=np.int32), counts[0])
        if counts.shape[1] > 1 and self.full:
            key = keyed.words(self.seed, Purpose.GROUP_ORDER, epoch)
            group = group[keyed.permute(np.arange(self.full), self.full, key)]
        group = np.concatenate([group, np.repeat(np.arange(counts.shape[1], dtype=np.int32), counts[1])])
        return _Epoch(group, _rank(group), counts, before)


@dataclass(frozen=True)
class _Epoch:
    """Group and rank of each batch, (batches,), and (2, groups) visits in and before the epoch."""

    group: NDArray[np.int32]
    rank: NDArray[np.int32]
    counts: Integers
    before: Integers


def _rank(group: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return how many earlier entries have the same value."""
    order = np.argsort(group, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(group))])
    rank = np.empty(group.size, dtype=np.int32)
    rank[order] = np.arange(group.size) - start[group[order]]
    return rank

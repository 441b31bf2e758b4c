"""From batch numbers to row indices: every batch is a function of (table, plan, seed, epoch, number).

`BatchComposer` ties the pieces: the schedule says which group a batch takes and how often the group
came before; mixtures of whole-number tables say how many anchors of each stratum each part of the
batch gets; pools or focal draws say which. A batch has up to four parts: own anchors and leaked ones,
inside and outside the focal window. Many batches are drawn at a time, by array operations; the cost
is O(log N) per anchor, whatever the number of groups.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.endless import STRETCH, Draws, EndlessPools
from viscy_data.composition.epochs import EpochSchedule, Visits
from viscy_data.composition.focal import FocalDraws
from viscy_data.composition.layout import AnchorLayout
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.purpose import Purpose
from viscy_data.composition.quota import Mixture
from viscy_data.composition.shares import PLAN_NAMES, Shares, TableShares
from viscy_data.errors import CompositionWarning, InvalidInputError

Integers = NDArray[np.int64]

CLOCK_TOLERANCE = 1e-4
"""Hours by which an anchor may miss the focal window: clock columns may be float32."""


class IndexBatch(list[int]):
    """Row indices of one batch; also says which batch it is.

    Parameters
    ----------
    rows
        Row indices.
    epoch, number
        Epoch and global batch number, from which a dataset keys what it draws for the batch.

    Examples
    --------
    >>> batch = IndexBatch([4, 2], epoch=1, number=7)
    >>> batch, batch.epoch, batch.number
    ([4, 2], 1, 7)
    """

    def __init__(self, rows: Iterable[int] = (), *, epoch: int = 0, number: int = 0) -> None:
        super().__init__(rows)
        self.epoch = epoch
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _index_batch, (list(self), self.epoch, self.number)


def _index_batch(rows: list[int], epoch: int, number: int) -> IndexBatch:
    return IndexBatch(rows, epoch=epoch, number=number)


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


class BatchComposer:
    """Composes any batch of any epoch.

    Parameters
    ----------
    plan
        What a batch shall hold.
    layout
        The table, sorted.
    seed
        First word of all keys.
    drop_last
        Leave out the last, smaller batch of an epoch.
    names
        What messages call the fields of the plan.

    Raises
    ------
    InvalidInputError
        The plan cannot be followed on this table.
    """

    def __init__(
        self,
        plan: BatchPlan,
        layout: AnchorLayout,
        *,
        seed: int,
        drop_last: bool,
        names: Mapping[str, str] = PLAN_NAMES,
    ) -> None:
        self.plan, self.layout, self.seed, self.drop_last = plan, layout, seed, drop_last
        full, remainder = divmod(len(layout), plan.batch_size)
        if full == 0 and drop_last:
            raise InvalidInputError(
                f"{names['batch_size']}={plan.batch_size} is more than the table's {len(layout)} anchors, so "
                "that drop_last=True leaves no batch; lower it or set drop_last=False."
            )
        self.shares = TableShares.of(plan, layout, names)
        self.sizes = [plan.batch_size] if drop_last or not remainder else [plan.batch_size, remainder]
        self.parts = [PartSizes.of(size, plan) for size in self.sizes]
        _warn_rounded_away(plan, self.parts[0], names)
        self.schedule = EpochSchedule(self.shares.groups, full, len(self.sizes) - 1, seed)
        self._pattern, self._mixtures = self._patterns()
        self._pools, self._base, self._gap_at, self._gap = self._lay_pools()
        self._warn_small_cells()

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return self.schedule.batches

    def rows(self, epoch: int, numbers: Sequence[int] | Integers) -> tuple[NDArray[np.uint32], Integers]:
        """Return the rows of batches, one after the other, and each batch's size."""
        places, sizes = self.places(epoch, numbers)
        return self.layout.rows[places], sizes

    def places(self, epoch: int, numbers: Sequence[int] | Integers) -> tuple[Integers, Integers]:
        """Return places in the layout instead of rows: an anchor's cell and time are near at hand."""
        number = np.asarray(numbers, dtype=np.int64)
        visits = self.schedule.visits(epoch, number)
        counts = self._counts(visits)
        sizes = counts.sum(axis=(1, 2))
        if self.plan.window is None:
            return self._draw_pools(epoch, visits, counts, np.arange(counts.shape[1])), sizes
        return self._draw_focal(epoch, number, visits, counts), sizes

    def _patterns(self) -> tuple[Integers, list[tuple[Mixture, ...]]]:
        """Return the pattern of each group, and for each pattern a mixture per batch size."""
        leaked = self.shares.leaked or (None,) * len(self.shares.own)
        number: dict[tuple[Shares, Shares | None], int] = {}
        pattern = [
            -1 if own is None else number.setdefault((own, leak), len(number))
            for own, leak in zip(self.shares.own, leaked, strict=True)
        ]
        mixtures = [tuple(_mixture(self.plan, part, *shares) for part in self.parts) for shares in number]
        return np.array(pattern), mixtures

    def _by_pattern(self, visits: Visits, method: str) -> Integers:
        pattern = self._pattern[visits.group]
        leaves, strata = self._mixtures[0][0].base.shape
        found = np.zeros((pattern.size, leaves, strata), dtype=np.int64)
        for number in np.unique(pattern):
            which = np.flatnonzero(pattern == number)
            found[which] = getattr(self, method)(self._mixtures[number], visits[which])
        return found

    def _counts(self, visits: Visits) -> Integers:
        """Return (batches, leaves, strata) anchors of each batch."""
        return self._by_pattern(visits, "_turn")

    def _drawn(self, visits: Visits) -> Integers:
        """Return (batches, leaves, strata) anchors that the group drew before these visits."""
        return self._by_pattern(visits, "_before")

    @staticmethod
    def _turn(mixtures: tuple[Mixture, ...], visits: Visits) -> Integers:
        found = mixtures[0].turn(visits.full)
        if visits.is_partial.any():
            found[visits.is_partial] = mixtures[1].turn(visits.partial[visits.is_partial])
        return found

    @staticmethod
    def _before(mixtures: tuple[Mixture, ...], visits: Visits) -> Integers:
        found = mixtures[0].before(visits.full)
        return found if len(mixtures) == 1 else found + mixtures[1].before(visits.partial)

    def _lay_pools(self) -> tuple[EndlessPools, Integers, Integers, Integers]:
        """Give the pools (own | leaked, stratum, group) numbers and say where their members stand.

        A leaked pool is a stratum without one group's cell: its members from ``gap_at`` on stand
        ``gap`` places further.
        """
        size = self.layout.size
        start = self.layout.start[:-1].reshape(size.shape)
        visit = np.array(
            [self._largest_visit(group) for group in range(size.shape[1])]
        )  # groups, own | leaked, strata
        total = size.sum(axis=1, keepdims=True)
        members = np.stack([size, total - size])
        base = np.stack([start, np.broadcast_to(start[:, :1], size.shape)])
        gap_at = np.stack([size, start - start[:, :1]])
        gap = np.stack([np.zeros_like(size), size])
        pools = EndlessPools(members.ravel(), visit.transpose(1, 2, 0).ravel(), self.seed)
        return pools, base.ravel(), gap_at.ravel(), gap.ravel()

    def _largest_visit(self, group: int) -> NDArray[np.int64]:
        """Return (own | leaked, strata): the most that one batch takes of either."""
        leaked = self.shares.leaked[group] if self.shares.leaked is not None else None
        shares = (self.shares.own[group], leaked)
        sizes = (sum(self.parts[0].own), sum(self.parts[0].leaked))
        strata = len(self.layout.strata.values)
        most = [
            [ceil(size * s) for s in share or [Fraction(0)] * strata]
            for size, share in zip(sizes, shares, strict=True)
        ]
        return np.array(most, dtype=np.int64)

    def _draw_pools(self, epoch: int, visits: Visits, counts: Integers, halves: Integers) -> Integers:
        """Draw ``counts`` (batches, leaves, strata) from the pools; ``halves``: own or leaked, by leaf."""
        groups = len(self.layout.groups.values)
        strata = counts.shape[2]
        pool = (halves[:, None] * strata + np.arange(strata)) * groups + visits.group[:, None, None]
        first = self._merged(self._drawn(visits), halves)
        wanted = counts.ravel() > 0
        begin = end = first
        stretch = np.zeros(pool.shape, dtype=np.uint64)
        if self._pools.is_small[pool.ravel()[wanted]].any():
            head, tail, number = self.schedule.stretch(epoch, visits, STRETCH)
            begin, end = self._merged(self._drawn(head), halves), self._merged(self._drawn(tail), halves)
            bits = keyed.words(self.seed, Purpose.STRETCH, epoch, visits.cycle, number)
            stretch = keyed.words(bits[:, None, None], pool)
        pool, first, count, begin, end = (part.ravel()[wanted] for part in (pool, first, counts, begin, end))
        member = self._pools.members(Draws(pool, first, count, begin, end, stretch.ravel()[wanted]))
        slot = np.repeat(pool, count)
        place: Integers = (
            self._base[slot] + member + np.where(member >= self._gap_at[slot], self._gap[slot], 0)
        )
        return place

    def _merged(self, drawn: Integers, halves: Integers) -> Integers:
        """Sum the leaves of a focal plan to own and leaked where ``halves`` asks for it."""
        if drawn.shape[1] == halves.size:
            return drawn
        return drawn.reshape(len(drawn), -1, 2, drawn.shape[2]).sum(axis=2)[:, halves]

    def _draw_focal(self, epoch: int, number: Integers, visits: Visits, counts: Integers) -> Integers:
        groups = len(self.layout.groups.values)
        strata = counts.shape[2]
        time = self.focal_times(epoch, number, visits.group)
        batch = np.repeat(np.arange(number.size), strata)
        cell = (np.arange(strata) * groups + visits.group[:, None]).ravel()
        inside, outside = counts[:, 0].ravel(), counts[:, 1].ravel()
        if counts.shape[1] == 4:
            parts = [(batch, cell, inside, outside), self._leaked_cells(epoch, visits, counts[:, 2:])]
            batch, cell, inside, outside = (np.concatenate(part) for part in zip(*parts, strict=True))
            order = np.argsort(batch, kind="stable")
            batch, cell, inside, outside = (part[order] for part in (batch, cell, inside, outside))
        wanted = np.flatnonzero(inside + outside)
        batch, cell, inside, outside = (part[wanted] for part in (batch, cell, inside, outside))
        reach = self._reach()
        low, high = self.layout.window(cell, time[batch] - reach, time[batch] + reach)
        words = (self.seed, epoch, number[batch], cell)
        keys = [keyed.words(purpose, *words) for purpose in (Purpose.INSIDE, Purpose.OUTSIDE)]
        start, end = self.layout.start[cell], self.layout.start[cell + 1]
        return FocalDraws(start, end, low, high, inside, outside, *keys).places()

    def _leaked_cells(
        self, epoch: int, visits: Visits, counts: Integers
    ) -> tuple[Integers, Integers, Integers, Integers]:
        """Draw the cells that leaked anchors come from, in proportion to whole cells.

        Returns
        -------
        Batch, cell, and anchors wanted from inside and outside the window, by (batch, cell).
        """
        total = counts.sum(axis=1)
        place = self._draw_pools(epoch, visits, total[:, None], np.array([1]))
        batch, stratum = np.nonzero(total)
        request = np.repeat(np.arange(batch.size), total[batch, stratum])
        nth = np.arange(request.size) - (np.cumsum(total[batch, stratum]) - total[batch, stratum])[request]
        is_inside = nth < counts[:, 0][batch, stratum][request]
        cells = len(self.layout.start) - 1
        pair, back = np.unique(batch[request] * cells + self.layout.cell_of(place), return_inverse=True)
        inside = np.bincount(back, weights=is_inside, minlength=pair.size).astype(np.int64)
        outside = np.bincount(back, minlength=pair.size) - inside
        return pair // cells, pair % cells, inside, outside

    def focal_times(self, epoch: int, number: Integers, group: Integers) -> NDArray[np.float64]:
        """Return the focal time of each batch: even over the distinct times of its group."""
        bits = keyed.words(self.seed, Purpose.FOCAL_TIME, epoch, number)
        return self.layout.focal_times(group, lambda count: keyed.below(bits, count))

    def _reach(self) -> float:
        return 0.0 if self.plan.window is None else self.plan.window.window_hours + CLOCK_TOLERANCE

    def _warn_small_cells(self) -> None:
        """List the cells that hold fewer anchors than a batch takes from them."""
        strata, groups = self.layout.size.shape
        own = slice(0, strata * groups)
        short = np.flatnonzero(
            (self._pools.size[own] < self._pools.visit[own]) & (self.layout.size.ravel() > 0)
        )
        drawn = [cell for cell in short if self.shares.groups[cell % groups] > 0]
        if drawn:
            texts = [f"{self.cell_name(int(cell))}: {self._pools.size[cell]}" for cell in drawn[:12]]
            more = f", and {len(drawn) - 12} more" if len(drawn) > 12 else ""
            warnings.warn(
                "These cells hold fewer anchors than a batch takes from them, so that anchors repeat in a "
                f"batch: {', '.join(texts)}{more}.",
                CompositionWarning,
                stacklevel=2,
            )

    def stratum_means(self) -> NDArray[np.float64]:
        """Return (groups, strata) the exact mean anchors of each stratum in a batch of each group."""
        means = np.zeros(self.layout.size.T.shape)
        leaked = self.shares.leaked or (None,) * len(self.shares.own)
        for group, shares in enumerate(zip(self.shares.own, leaked, strict=True)):
            for size, share in zip((sum(self.parts[0].own), sum(self.parts[0].leaked)), shares, strict=True):
                if share is not None:
                    means[group] += [float(size * s) for s in share]
        return means

    def cell_name(self, cell: int) -> str:
        """Return a cell's group and stratum for people."""
        stratum, group = divmod(cell, len(self.layout.groups.values))
        parts = []
        if self.plan.grouping is not None:
            parts.append(str(self.layout.groups.values[group]))
        if self.plan.balance is not None:
            parts.append(str(self.layout.strata.values[stratum]))
        return " / ".join(parts) or "the table"


def _mixture(plan: BatchPlan, parts: PartSizes, own: Shares, leaked: Shares | None) -> Mixture:
    if plan.window is None:
        if leaked is None:
            return Mixture.of([sum(parts.own)], [own])
        return Mixture.of([sum(parts.own), sum(parts.leaked)], [own, leaked], [[0, 1]])
    if leaked is None:
        return Mixture.of(parts.own, [own, own], [[0, 1]])
    nodes = [[0, 1], [2, 3], [0, 1, 2, 3]]
    return Mixture.of([*parts.own, *parts.leaked], [own, own, leaked, leaked], nodes)


def _warn_rounded_away(plan: BatchPlan, parts: PartSizes, names: Mapping[str, str]) -> None:
    outside = parts.own[1] + parts.leaked[1]
    asked = [("leak", plan.leak, sum(parts.leaked))]
    if plan.window is not None:
        asked.append(("global_fraction", plan.window.global_fraction, outside))
    for name, fraction, count in asked:
        if fraction > 0 and count == 0:
            warnings.warn(
                f"{names[name]}={fraction} of a batch of {plan.batch_size} rounds to no anchor at all.",
                CompositionWarning,
                stacklevel=2,
            )
